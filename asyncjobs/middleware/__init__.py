"""The onion around sending and around running: small classes, each with one concern."""

from asyncjobs.middleware.base import CallNext, Middleware, Send
from asyncjobs.middleware.logs import Logging
from asyncjobs.middleware.retry import Translate
from asyncjobs.middleware.timeout import DefaultTimeout

__all__ = ["CallNext", "DefaultTimeout", "Logging", "Middleware", "Send", "Translate"]
