"""A call on its way out: the request, the job that it asks for, and the awaitable that sends it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Coroutine, Generator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, Unpack

import msgspec

from asyncjobs.core.bounds import shown
from asyncjobs.core.identity import kept_id, own_part
from asyncjobs.core.options import DEFAULT_QUEUE, UNSET, CallOptions, DefinitionOptions, SendOptions, checked_text
from asyncjobs.core.priority import Priority
from asyncjobs.core.record.envelope import Envelope, encode
from asyncjobs.core.uniqueness import UniqueRule, digest
from asyncjobs.errors import ArgumentsError, PayloadTooLarge
from asyncjobs.jobs.encryption import Encryption, bound_id
from asyncjobs.jobs.ids import new_id
from asyncjobs.jobs.limits import LineKeys
from asyncjobs.jobs.values.codec import Codec
from asyncjobs.jobs.values.hooks import ENCODING_ERRORS, Hooks
from asyncjobs.ports import NewJob

if TYPE_CHECKING:
    from asyncjobs.jobs.handle import JobHandle

__all__ = ["Dispatcher", "JobRequest", "Sending", "SendingApp", "checked_request", "id_of", "new_job"]

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

# The options of a call that its job carries to the worker.
_CARRIED = tuple(name for name in CallOptions.__struct_fields__ if name in Envelope.__struct_fields__)


class JobRequest(msgspec.Struct, Generic[R_co], frozen=True, kw_only=True, gc=False):
    """A checked and encoded call that has not been sent; what ``.request()`` returns and ``enqueue_many`` takes."""

    name: str
    """The name of the job."""

    arguments: bytes
    """The arguments, as a msgpack array."""

    keywords: tuple[str, ...]
    """The names of the last of the arguments, those passed by keyword."""

    signature: int
    """The hash of the handler's parameters."""

    defaults: DefinitionOptions
    """The options of the definition."""

    options: CallOptions
    """The options of the call, which win over ``defaults``."""

    _returns: Codec
    """Reads what the handler returns, as its return annotation says."""

    _unique: UniqueRule | None = None
    """Which jobs it must not stand beside, with a key that stands for the arguments alone; ``None`` for any."""

    _keys: LineKeys | None = None
    """What puts it into a line; ``None`` where only the name of the job is known."""

    delay_ms: int = 0
    """How long after it is sent the job is due, in milliseconds."""

    due_at_ms: int | None = None
    """When the job is due, in Unix milliseconds, in place of ``delay_ms``."""

    id: str = ""
    """The id of the job, once it has one; with its tenant, as in ``@acme:invoice-7``."""

    headers: dict[str, str] = {}
    """What middleware sends along."""

    # In place of the two methods that msgspec makes, which show all fields, with secret arguments among them.
    def __repr__(self) -> str:
        return f"JobRequest({self.name!r}, queue={self.queue!r}, <{len(self.arguments)} bytes of arguments>)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("name", self.name), ("queue", self.queue)]

    @property
    def queue(self) -> str:
        """The queue that the job goes to."""
        return self.options.queue or self.defaults.queue or DEFAULT_QUEUE

    def with_headers(self, headers: Mapping[str, str]) -> JobRequest[R_co]:
        """Return the request with more headers, which the handler finds on ``current_job().headers``.

        Args:
            headers: The headers to add, or to put in the place of those of the same names.

        Raises:
            ArgumentsError: ``headers`` is no mapping.
        """
        if not isinstance(headers, Mapping):
            raise ArgumentsError(f"headers={shown(headers)}: expected a mapping of text to text")
        return msgspec.structs.replace(self, headers={**self.headers, **headers})

    def with_options(self, **options: Unpack[SendOptions]) -> JobRequest[R_co]:
        """Return the request with options in place of those that it has.

        Args:
            **options: See ``SendOptions``.

        Raises:
            ArgumentsError: There is no such option, or it has a wrong value. The message names it.
        """
        updated = self.options.updated(options)
        # Where the request has its id already, it is in a layer, which may give it to another tenant.
        job_id = self.id and kept_id(updated.tenant or "", own_part(self.id))
        return msgspec.structs.replace(self, options=updated, id=job_id)


def new_job(
    request: JobRequest[Any],
    max_payload: int,
    sent_at_ms: int | None = None,
    encryption: Encryption | None = None,
    line: str = "",
) -> NewJob:
    """Return the job that ``request`` asks for, as it is sent.

    Args:
        request: The call.
        max_payload: How large the encoded job may be, in bytes.
        sent_at_ms: When it is sent, in Unix milliseconds; by default now.
        encryption: Encrypts the arguments.
        line: The key of the line in which the job waits.

    Raises:
        ArgumentsError: A header is no text, the metadata can't be encoded, the id would be that of a tenant's job, or
            a layer has made of name or id what UTF-8 can't hold.
        PayloadTooLarge: The job is larger than ``max_payload``.
    """
    call, defaults = request.options, request.defaults
    if request.id:
        # It is in a layer, which may have changed the name.
        checked_text("name", request.name)
    queue, job_id, tenant, arguments = request.queue, id_of(request), call.tenant or "", request.arguments
    unique = None if request._unique is None else _unique_job(request, request._unique)
    delay_ms = request.delay_ms if unique is None else request.delay_ms or unique.wait_ms
    if encryption is not None:
        bound = job_id if unique is None else bound_id(job_id, unique.key)
        arguments = encryption.arguments_for(
            queue, bound, request.name, tenant, request.keywords, arguments, is_template=sent_at_ms == 0
        )
    priority = defaults.priority if call.priority is UNSET else call.priority
    now_ms = time.time_ns() // 1_000_000 if sent_at_ms is None else sent_at_ms
    due_at_ms = now_ms + delay_ms if request.due_at_ms is None else request.due_at_ms
    body = _body_of(request, arguments, now_ms, due_at_ms)
    if len(body) > max_payload:
        raise PayloadTooLarge(
            f"{request.name}: the job has {len(body)} bytes, max_payload allows {max_payload}. "
            "Store the data elsewhere and send its key, or raise max_payload."
        )
    return NewJob(
        queue,
        job_id,
        request.name,
        body,
        Priority.NORMAL.value if priority is UNSET else priority.value,
        tenant,
        (call.acks or defaults.acks) == "early",
        delay_ms,
        request.due_at_ms,
        unique,
        line,
    )


def _body_of(request: JobRequest[Any], arguments: bytes, now_ms: int, due_at_ms: int) -> bytes:
    """Return the encoded envelope of the job; what is as usual is left out."""
    call = request.options
    envelope: dict[str, Any] = {"arguments": msgspec.Raw(arguments), "signature": request.signature}
    if request.keywords:
        envelope["keywords"] = request.keywords
    if due_at_ms > now_ms:
        envelope["due_at_ms"] = due_at_ms
    expires_ms = request.defaults.expires_ms if call.expires_ms is UNSET else call.expires_ms
    if expires_ms is not UNSET:
        envelope["expires_at_ms"] = expires_ms + due_at_ms
    if call.job_id is not UNSET:
        envelope["created_at_ms"] = now_ms
    if request.headers:
        _check_headers(request.headers)
        envelope["headers"] = request.headers
    for name in _CARRIED:
        value = getattr(call, name)
        if value is not UNSET:
            envelope[name] = value
    try:
        return encode(Envelope(**envelope))
    except ENCODING_ERRORS as error:
        raise ArgumentsError(
            f"{request.name}: a header, the metadata or a keyword can't be encoded: {error}"
        ) from error


def _unique_job(request: JobRequest[Any], rule: UniqueRule) -> UniqueRule:
    """Return ``rule`` with the key of the job that ``request`` asks for."""
    if rule.wait_ms and (request.delay_ms or request.due_at_ms is not None):
        raise ArgumentsError(
            f"{request.name} is debounced, so it starts {rule.wait_ms / 1000:g} s after its last call: send it by "
            "delay(…), without a time of its own"
        )
    return msgspec.structs.replace(rule, key=digest(request.name, request.options.tenant or "", rule.key))


def _check_headers(headers: Mapping[Any, Any]) -> None:
    """Raise ``ArgumentsError`` unless all headers are text, as readers of the job expect them."""
    for name, value in headers.items():
        if type(name) is not str or type(value) is not str:
            raise ArgumentsError(f"header {shown(name)}={shown(value)}: expected text as name and value")


def checked_request(given: Any) -> JobRequest[Any]:
    """Return ``given``, a request; raise ``ArgumentsError`` if it is none."""
    if not isinstance(given, JobRequest):
        raise ArgumentsError(f"{shown(given)} is no request: expected a call made by job.request(…)")
    return given


def id_of(request: JobRequest[Any]) -> str:
    """Return the id of the job that ``request`` asks for: its own, or a new one; its tenant's, if it has one.

    Raises:
        ArgumentsError: Its own is no text that UTF-8 can hold, or would be that of a tenant's job.
    """
    if request.id:
        return checked_text("id", request.id)
    job_id, tenant = request.options.job_id, request.options.tenant
    if not tenant and job_id is UNSET:
        return new_id()
    return kept_id(tenant or "", job_id or new_id())


class Dispatcher(Protocol):
    """What sends jobs."""

    def dispatch(self, request: JobRequest[R], where: str) -> Coroutine[None, None, JobHandle[R]]:
        """Check ``request`` against the app's limits and return what sends it when awaited.

        Args:
            request: The call.
            where: File and line of the call, for the warning that it was never awaited.
        """
        ...

    def dispatch_sync(self, request: JobRequest[R], instead: str) -> JobHandle[R]:
        """Send ``request`` from a thread without a running event loop, and wait until it is sent.

        Args:
            request: The call.
            instead: What to write inside a running loop, for the error that refuses it there.
        """
        ...

    def handle(self, queue: str, job_id: str, returns: Codec) -> JobHandle[Any]:
        """Return a handle of a job that was sent before.

        Args:
            queue: Its queue.
            job_id: The id under which it is kept.
            returns: Reads its result.
        """
        ...


class SendingApp(Protocol):
    """An app, as a definition knows it."""

    @property
    def _sender(self) -> Dispatcher:
        """What sends the app's jobs."""
        ...

    @property
    def _hooks(self) -> Hooks:
        """How values are sent that msgspec doesn't know."""
        ...


class Sending(Coroutine[Any, Any, "JobHandle[R]"]):
    """What sends a job when it is awaited, once. It is a coroutine, so ``asyncio.create_task`` takes it too.

    Dropped without being awaited, it warns with the job's name and the line of the call, since nothing was sent.

    Args:
        start: Makes the coroutine that sends the job.
        name: The name of the job.
        where: File and line of the call.
    """

    __slots__ = ("_coroutine", "_name", "_start", "_where")

    def __init__(self, start: Callable[[], Coroutine[Any, Any, JobHandle[R]]], name: str, where: str) -> None:
        self._start: Callable[[], Coroutine[Any, Any, JobHandle[R]]] | None = start
        self._coroutine: Coroutine[Any, Any, JobHandle[R]] | None = None
        self._name = name
        self._where = where

    def _begin(self) -> Coroutine[Any, Any, JobHandle[R]]:
        if self._coroutine is None:
            if self._start is None:
                raise RuntimeError(f"the sending of {self._name!r} ({self._where}) was closed or awaited before")
            start, self._start = self._start, None
            self._coroutine = start()
        return self._coroutine

    def __await__(self) -> Generator[Any, Any, JobHandle[R]]:
        if self._start is None:
            raise RuntimeError(f"the sending of {self._name!r} ({self._where}) was closed or awaited before")
        return self._begin().__await__()

    def send(self, value: Any) -> Any:
        return self._begin().send(value)

    def throw(self, *error: Any) -> Any:
        return self._begin().throw(*error)

    def close(self) -> None:
        self._start = None
        if self._coroutine is not None:
            self._coroutine.close()

    def __del__(self) -> None:
        if getattr(self, "_start", None) is not None:
            warnings.warn(
                f"{self._name!r} at {self._where} was never awaited: the job was not sent", RuntimeWarning, stacklevel=2
            )
