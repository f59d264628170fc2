"""Tells MkDocs that the pages are in this folder, beside its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["on_config"]


def on_config(config: Any) -> Any:
    """Set the folder of the pages; MkDocs calls this once it has read its configuration."""
    config.docs_dir = str(Path(__file__).resolve().parent)
    return config
