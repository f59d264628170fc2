"""Runs jobs: claims them, runs their handlers, settles what became of them."""
