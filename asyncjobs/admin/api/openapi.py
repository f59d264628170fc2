"""The OpenAPI document of the admin API, made from its routes and their structs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from asyncjobs.admin.api.responses import ProblemDetails
from asyncjobs.admin.api.route import Route
from asyncjobs.core.package import PACKAGE_VERSION

__all__ = ["document"]

_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")


def document(routes: Sequence[Route], root_path: str) -> dict[str, Any]:
    """Return the document (https://spec.openapis.org/oas/v3.1.0).

    Args:
        routes: The routes.
        root_path: Where the API is mounted, as in ``/api/admin``.
    """
    bodies = {route.body for route in routes if route.body is not None}
    kinds = [*{route.reply for route in routes}, *bodies, ProblemDetails]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    by_kind = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = {
            "summary": (inspect.getdoc(route.answer) or "").partition("\n")[0],
            "x-permission": route.needs,
            "parameters": [*_path_parameters(route), *_query_parameters(route)],
            **({} if route.body is None else {"requestBody": {"content": _json(by_kind[route.body])}}),
            "responses": {
                "200": {"description": "Done", "content": _content(route, by_kind[route.reply])},
                "default": {
                    "description": "What went wrong",
                    "content": {"application/problem+json": {"schema": by_kind[ProblemDetails]}},
                },
            },
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "asyncjobs", "version": PACKAGE_VERSION},
        "servers": [{"url": root_path or "/"}],
        "paths": paths,
        "components": {"schemas": components},
    }


def _content(route: Route, schema: dict[str, Any]) -> dict[str, Any]:
    content = _json(schema)
    if route.stream is not None:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    return content


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    schema = msgspec.json.schema(route.query)
    [properties] = [one["properties"] for one in schema["$defs"].values()]
    return [{"name": name, "in": "query", "schema": kind} for name, kind in properties.items()]
