"""How arguments and results are written and read: by msgspec, and what msgspec doesn't know by hooks and pydantic."""
