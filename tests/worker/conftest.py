"""What the tests of the worker share."""

from __future__ import annotations

from typing import Any

import pytest

from asyncjobs import job


@job
def doubled_text(text: str) -> str:
    """A library's job, of the default registry."""
    return text * 2


@pytest.fixture
def library_job() -> Any:
    """A job that belongs to no app."""
    return doubled_text
