"""A client for ASGI apps: no server, no socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

__all__ = ["Reply", "fetch"]


class Reply(NamedTuple):
    """What an app has answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


async def fetch(
    web: Any, target: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Reply:
    """Send a request to ``target``, a path and what stands behind its question mark, percent-encoded."""
    path, _, query = target.partition("?")
    sent: list[Any] = []
    given = {"host": "jobs.example.com", **(headers or {})}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
        "server": ("jobs.example.com", 80),
        "client": ("203.0.113.7", 50_000),
        "state": {},
    }

    async def send(message: Any) -> None:
        sent.append(message)

    is_read = False

    async def receive() -> Any:
        nonlocal is_read
        if is_read:
            # The client stays.
            await asyncio.Event().wait()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    await web(scope, receive, send)
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Reply(sent[0]["status"], found, b"".join(one.get("body", b"") for one in sent[1:]))
