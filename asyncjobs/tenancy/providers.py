"""What handlers inject: a connection or session, lent for as long as the job has it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from asyncjobs import Inject
from asyncjobs.tenancy.schemas import Mode, checked_options

__all__ = ["provider_of"]

T = TypeVar("T")


def provider_of(
    lend: Callable[..., AbstractAsyncContextManager[T]],
    source: object,
    kind: type,
    mode: Mode,
    shared: Sequence[str],
    required: bool,
) -> Callable[..., AsyncGenerator[T, None]]:
    """Return a provider for handlers of what ``lend`` lends.

    Args:
        lend: Takes a pool or an engine, and the options by name.
        source: The pool or the engine, of type ``kind``, or a provider of one.
        kind: The type of what ``lend`` takes.
        mode: As ``connect`` takes it.
        shared: As ``connect`` takes it.
        required: As ``connect`` takes it.

    Raises:
        ConfigurationError: An option is wrong.
    """
    checked_options(mode, shared)
    provider: Any = (lambda: source) if isinstance(source, kind) else source

    async def tenant_connection(pool: Any = Inject(provider)) -> AsyncGenerator[T, None]:
        async with lend(pool, mode=mode, shared=shared, required=required) as lent:
            yield lent

    return tenant_connection
