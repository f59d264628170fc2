"""The verb of an app that sends a job by its name, for people and programs without the code of the job."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, Unpack, overload

import msgspec

from asyncjobs.app.audit import note
from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.core.bounds import shown
from asyncjobs.core.duration import Duration, due_ms, to_ms
from asyncjobs.core.options import UNSET, CallOptions, DefinitionOptions, SendOptions, checked_text
from asyncjobs.core.record.header import MAX_NAME_BYTES
from asyncjobs.errors import ArgumentsError, UnknownJobName, closest
from asyncjobs.jobs.definition import signature_of
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.request import JobRequest
from asyncjobs.jobs.signature import plainly_encoded
from asyncjobs.jobs.tenant_scope import requests_here
from asyncjobs.jobs.uniqueness import rule_for
from asyncjobs.jobs.values.codec import ANY, Codec
from asyncjobs.jobs.values.hooks import Hooks
from asyncjobs.ports import CatalogueEntry

__all__ = ["ByNameVerbs", "definition_of"]

R = TypeVar("R")


class ByNameVerbs(Verbs):
    """The verb that sends a job by its name."""

    @overload
    async def send(
        self,
        name: str,
        arguments: Sequence[Any] | Mapping[str, Any] = (),
        *,
        delay: Duration | None = None,
        at: datetime | None = None,
        **options: Unpack[SendOptions],
    ) -> JobHandle[Any]: ...
    @overload
    async def send(
        self,
        name: str,
        arguments: Sequence[Any] | Mapping[str, Any] = (),
        *,
        returns: type[R],
        delay: Duration | None = None,
        at: datetime | None = None,
        **options: Unpack[SendOptions],
    ) -> JobHandle[R]: ...
    @on_app_loop  # type: ignore[misc]  # mypy loses the options behind the decorator
    async def send(
        self,
        name: str,
        arguments: Sequence[Any] | Mapping[str, Any] = (),
        *,
        returns: Any = Any,
        delay: Duration | None = None,
        at: datetime | None = None,
        **options: Unpack[SendOptions],
    ) -> JobHandle[Any]:
        """Send a job by its name, without the code of its handler.

        The arguments are plain data, such as JSON has, or whatever else msgspec encodes. If the app's code knows the
        job, they are checked as a worker reads them, and the options of its definition hold. If only workers know it,
        they are checked by the names of its parameters, and the queue is that of its definition. If neither knows it,
        nothing is checked, and the queue is ``default`` unless ``queue`` says another. Only the code tells that a job
        is unique or debounced, or which limits it has.

        Args:
            name: The job name.
            arguments: The arguments in the order of the parameters, or by their names.
            returns: The type as which the handle reads the result; by default plain data.
            delay: How long after it is sent the job is due: seconds or ``timedelta``.
            at: When the job is due, an aware ``datetime``, in place of ``delay``.
            **options: As ``with_options`` takes them.

        Returns:
            The handle of the job.

        Raises:
            ArgumentsError: The arguments don't fit the job, or an option has a wrong value.
            PayloadTooLarge: The job is larger than the setting ``max_payload``.
            BrokerError: The broker didn't take the job.

        Example:
            ``await app.send("send_email", {"to": "user@example.com"}, priority="high", delay=60)``
        """
        size = len(checked_text("name", name).encode())
        if not 0 < size <= MAX_NAME_BYTES or any(map(str.isspace, name)):
            raise ArgumentsError(
                f"name={shown(name)}: expected a job name, 1 to {MAX_NAME_BYTES} bytes of text without white space"
            )
        is_named = isinstance(arguments, Mapping)
        if not is_named and (isinstance(arguments, str | bytes) or not isinstance(arguments, Sequence)):
            raise ArgumentsError(
                f"arguments={shown(arguments)}: expected a list in the order of the parameters, or a mapping of their "
                "names to values"
            )
        delay_ms, due_at_ms = _due(delay, at)
        codec = _codec(returns, self._hooks)
        args = () if is_named else tuple(arguments)
        kwargs = {str(one): value for one, value in arguments.items()} if isinstance(arguments, Mapping) else {}
        request = await self._by_name(name, args, kwargs, CallOptions().updated(options))
        request = msgspec.structs.replace(request, delay_ms=delay_ms, due_at_ms=due_at_ms, _returns=codec)
        [handle] = await self._sender.send_many(requests_here([request]))
        await note(self._broker, "send", handle.id, queue=handle.queue, which={"name": name}, of_one=True)
        return handle

    async def _by_name(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], options: CallOptions
    ) -> JobRequest[Any]:
        try:
            definition = self.registry.get(name)
        except UnknownJobName:
            entry = await self._lookup.naming.definition(name)
            if entry is not None:
                _check(entry, args, kwargs)
            if options.queue is UNSET and entry is not None and entry.queue:
                options = msgspec.structs.replace(options, queue=entry.queue)
            # By name, an argument fits a parameter of any kind but one that is positional alone.
            encoded, keywords = plainly_encoded(name, (*args, *kwargs.values())), tuple(kwargs)
            defaults, signature_hash, unique = DefinitionOptions(), 0, None
        else:
            signature = signature_of(definition)
            encoded, keywords = signature.encode_plain(args, kwargs)
            defaults, signature_hash = definition.options, signature.hash
            chosen = definition._unique
            unique = rule_for(chosen, signature, encoded, keywords) if chosen else None
        return JobRequest(
            name=name,
            arguments=encoded,
            keywords=keywords,
            signature=signature_hash,
            defaults=defaults,
            options=options,
            _returns=ANY,
            _unique=unique,
        )


def _due(delay: Duration | None, at: datetime | None) -> tuple[int, int | None]:
    if at is None:
        return 0 if delay is None else to_ms("delay", delay), None
    if delay is not None:
        raise ArgumentsError(f"delay={shown(delay)} and at={shown(at)}: expected one of the two")
    return 0, due_ms(at, "at", "delay", time.time_ns() // 1_000_000)


def _codec(returns: Any, hooks: Hooks) -> Codec:
    if returns is Any:
        return ANY
    try:
        return Codec(returns, hooks)
    except TypeError as error:
        raise ArgumentsError(f"returns={shown(returns)} {error}") from error


def _check(entry: CatalogueEntry, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise ``ArgumentsError`` if a job has no such parameter, or fewer."""
    own = [one for one in entry.parameters if not one.startswith("*")]
    is_any = {one[: one.rindex("*") + 1] for one in entry.parameters if one.startswith("*")}
    listed = ", ".join(own) or "none"
    if "**" not in is_any:
        for one in kwargs:
            if one not in own:
                raise ArgumentsError(
                    f"{entry.name}() has no parameter {shown(one)}; it has {listed}.{closest(one, own)}"
                )
    if "*" not in is_any and len(args) > len(own):
        raise ArgumentsError(f"{entry.name}() takes at most {len(own)} arguments, {listed}; {len(args)} are given")
    for one in own[: len(args)]:
        if one in kwargs:
            raise ArgumentsError(f"{entry.name}() is given {one!r} by its place and by its name")


@on_app_loop
async def definition_of(app: ByNameVerbs, name: str) -> CatalogueEntry | None:
    """Return how the job of a name is defined, ``None`` where neither the app's code nor a worker knows it."""
    return await app._lookup.naming.definition(name)
