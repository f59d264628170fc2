"""The app: where settings, jobs, broker and worker meet."""

from asyncjobs.app.app import App

__all__ = ["App"]
