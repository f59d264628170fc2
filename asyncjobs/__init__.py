"""Background jobs for Python's async world."""
