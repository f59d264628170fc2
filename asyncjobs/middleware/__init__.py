"""The onion around sending and around running: small classes, each with one concern."""

from asyncjobs.middleware.base import CallNext, Middleware, Send
from asyncjobs.middleware.logging import Logging
from asyncjobs.middleware.timeout import DefaultTimeout
from asyncjobs.middleware.translate import Translate

__all__ = ["CallNext", "DefaultTimeout", "Logging", "Middleware", "Send", "Translate"]
