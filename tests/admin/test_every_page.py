"""Every page, form, stream and route, as their tables have them: links, mounts, callers, foreign text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, get_args, get_type_hints
from urllib.parse import quote, urlsplit

import pytest
from fastapi import FastAPI
from litestar import Litestar, asgi
from starlette.applications import Starlette
from starlette.routing import Mount

from asyncjobs import App
from asyncjobs.admin import ROLES, admin_api, dashboard
from asyncjobs.admin.api.app import ROUTES
from asyncjobs.admin.dashboard.following import STREAMS
from asyncjobs.admin.dashboard.forms import FORMS
from asyncjobs.admin.dashboard.pages import PAGES
from tests.admin.crawl import Document, crawl
from tests.admin.sowing import HOSTILE, sown
from tests.admin.test_api import role_of
from tests.web import Reply, fetch

pytestmark = pytest.mark.anyio

# Where it is mounted, and what is escaped, does not depend on the broker.
MOUNTS = pytest.mark.parametrize(
    ("make_app", "mount"), [("memory", ""), ("memory", "/x/y"), ("redis", "/x")], indirect=["make_app"]
)
IN_MEMORY = pytest.mark.parametrize("make_app", ["memory"], indirect=True)
TEXTS = [*(("memory", text) for text in HOSTILE), ("redis", "".join(HOSTILE[:11]))]
PLACES = {"id": ["fails", "nothing", "a/b"], "name": ["default", "nothing"], "group": ["nothing"]}
"""What stands for the parameters of a path."""


def mounted(inside: Any, mount: str) -> Any:
    return Starlette(routes=[Mount(mount, inside)]) if mount else inside


def paths_of(path: str) -> list[str]:
    """Return addresses of a path with parameters."""
    [*names] = re.findall(r"\{(\w+)(?::\w+)?\}", path)
    if not names:
        return [path]
    return [re.sub(r"\{\w+(?::\w+)?\}", lambda _, one=one: one, path) for one in PLACES.get(names[0], ["nothing"])]


def is_page(reply: Reply) -> bool:
    return reply.headers.get("content-type", "").startswith("text/html")


def reader(web: Any, role: str = "admin", check: Callable[[str, Reply], None] = lambda target, reply: None) -> Any:
    """Return what ``crawl`` reads by."""

    async def read(target: str) -> str | None:
        reply = await fetch(web, target, headers={"x-role": role})
        check(target, reply)
        return reply.body.decode() if is_page(reply) else None

    return read


# -- links


@MOUNTS
async def test_each_link_leads_somewhere_below_the_mount_and_each_page_has_one(app: App, mount: str) -> None:
    def check(target: str, reply: Reply) -> None:
        assert reply.status in (200, 303), target
        if reply.status == 200 and is_page(reply):
            assert len(reply.body) < 120_000, target
            page = Document(reply.body.decode())
            assert page.titles == 1, target
            for link in (*page.links, *page.forms):
                assert link.startswith(("#", f"{mount}/")), (target, link)

    web = mounted(dashboard(app, authorize=role_of), mount)
    async with app, sown(app, "plain"):
        found = await crawl(reader(web, check=check), mount)
    assert [path for path, targets in found.items() if not targets] == []


@IN_MEMORY
@pytest.mark.parametrize("role", ["viewer", "admin"])
@pytest.mark.parametrize("narrow", [{"queues": "default"}, {"tenants": "plain"}, {"tenants": "plain other"}], ids=str)
async def test_no_link_leads_a_caller_of_some_queues_or_tenants_to_what_it_may_not_see(
    app: App, role: str, narrow: Mapping[str, str]
) -> None:
    web = dashboard(app, authorize=role_of)
    headers = {"x-role": role, **{f"x-{name}": value for name, value in narrow.items()}}

    async def read(target: str) -> str | None:
        reply = await fetch(web, target, headers=headers)
        assert reply.status in (200, 303), target
        return reply.body.decode() if is_page(reply) else None

    async with app, sown(app, "plain"):
        found = await crawl(read)
    for path in ("/", "/jobs", "/jobs/{id:path}", "/dead", "/schedules", "/tenants", "/tenants/{id:path}"):
        assert found[path], path
    for path in ("/queues/{name:path}", "/names", "/workers", "/audit", "/limits"):
        assert bool(found[path]) == ("queues" in narrow), path


@IN_MEMORY
@pytest.mark.parametrize("framework", ["starlette", "fastapi", "litestar"])
async def test_it_works_in_each_framework(app: App, framework: str) -> None:
    web: Any
    if framework == "litestar":
        inside = {
            "/admin/jobs": dashboard(app, authorize=role_of, mounted_at="/admin/jobs"),
            "/admin/api": admin_api(app, authorize=role_of, mounted_at="/admin/api"),
        }
        mounts = [asgi(path, is_mount=True, copy_scope=True)(one) for path, one in inside.items()]
        # By default it sets up the logging of the process, for all tests that follow.
        web = Litestar(mounts, logging_config=None)
    else:
        web = FastAPI() if framework == "fastapi" else Starlette()
        web.mount("/admin/jobs", dashboard(app, authorize=role_of))
        web.mount("/admin/api", admin_api(app, authorize=role_of))

    def check(target: str, reply: Reply) -> None:
        assert reply.status in (200, 303), target

    async with app, sown(app, "plain"):
        found = await crawl(reader(web, check=check), "/admin/jobs")
        for path in ("/queues/default", "/jobs/stats", "/openapi.json"):
            assert (await fetch(web, f"/admin/api{path}", headers={"x-role": "admin"})).status == 200, path
    assert [path for path, targets in found.items() if not targets] == []


# -- callers


def calls() -> list[tuple[str, str, str, str]]:
    """Return method, path, permission and kind of all that can be asked."""
    return [
        *(("GET", path, page.needs, "page") for page in PAGES for path in paths_of(page.path)),
        *(("POST", path, form.needs, "form") for form in FORMS for path in paths_of(form.path)),
        *(("GET", path, stream.needs, "stream") for stream in STREAMS for path in paths_of(stream.path)),
        *((route.method, path, route.needs, "route") for route in ROUTES for path in paths_of(route.path)),
    ]


@MOUNTS
async def test_everything_asks_who_calls_and_whether_they_may(app: App, mount: str) -> None:
    pages, api = mounted(dashboard(app, authorize=role_of), mount), mounted(admin_api(app, authorize=role_of), mount)
    kinds: Mapping[str, str] = {"form": "application/x-www-form-urlencoded", "route": "application/json"}
    async with app, sown(app, "plain"):
        for method, path, needs, kind in calls():
            web, target = api if kind == "route" else pages, mount + path
            sent = {"content-type": kinds.get(kind, ""), "accept": "text/event-stream" if kind == "stream" else "*/*"}
            nobody = await fetch(web, target, method, sent)
            assert nobody.status == 401, (method, target)
            for role, permissions in ROLES.items():
                status = (await fetch(web, target, method, {**sent, "x-role": role})).status
                # What a verb needs that a parameter names, and a tenant or a queue of others, is refused later.
                assert status in (200, 303, 400, 403, 404, 409, 415, 422), (method, target, role, status)
                if needs not in permissions:
                    assert status == 403, (method, target, role, status)
            # A page of another site, in the browser of somebody who may do everything.
            status = (
                await fetch(web, target, method, {**sent, "x-role": "admin", "sec-fetch-site": "cross-site"})
            ).status
            assert (status == 403) == (method != "GET"), (method, target, status)


async def test_what_a_viewer_may_not_do_has_no_button_and_no_page_shows_a_viewer_a_value(app: App) -> None:
    needs = {form.path.partition("{")[0]: form.needs for form in FORMS}
    web = dashboard(app, authorize=role_of)

    def check(target: str, reply: Reply) -> None:
        assert b"value-of-a-job" not in re.sub(rb"<details.*?</details>", b"", reply.body, flags=re.DOTALL), target
        for action in Document(reply.body.decode()).forms:
            found = [permission for path, permission in needs.items() if action.startswith(path)]
            assert action == "/settings" or "look" in found, (target, action)

    async with app:

        @app.job
        async def work(given: str) -> None: ...

        await work.with_options(metadata={"a": "value-of-a-job"}, tenant="acme").delay("value-of-a-job")
        await app.add_schedule("nightly", work.request("value-of-a-job"), every=3600)
        await crawl(reader(web, "viewer", check))


async def test_a_form_for_several_verbs_asks_for_the_permission_of_the_one_that_is_meant(app: App) -> None:
    web = dashboard(app, authorize=role_of)
    form = {"content-type": "application/x-www-form-urlencoded"}
    async with app:
        for role, verb in (("viewer", "retry"), ("viewer", "delete"), ("operator", "delete")):
            assert (await fetch(web, "/act", "POST", {**form, "x-role": role}, f"verb={verb}".encode())).status == 403
            assert (await fetch(web, f"/act?verb={verb}", headers={"x-role": role})).status == 403


# -- foreign text


@pytest.mark.parametrize(("make_app", "text"), TEXTS, indirect=["make_app"])
async def test_foreign_text_stays_text_on_each_page(app: App, text: str) -> None:
    read_by: list[str] = []

    def check(target: str, reply: Reply) -> None:
        read_by.append(target)
        assert reply.status in (200, 303), target
        assert "set-cookie" not in reply.headers
        location = reply.headers.get("location", "/")
        assert not urlsplit(location).netloc, location
        if not is_page(reply):
            return
        body = reply.body.decode()
        page = Document(body)
        assert not page.tags & {"marquee", "script-inline"}, target
        assert page.titles == (reply.status == 200), target
        assert "3703701" not in page.text
        assert not [name for name in page.attributes if name.startswith("on") or name == "style"], target
        assert not [link for link in page.links if not link.startswith(("/", "#"))], target
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", body), target

    web = dashboard(app, authorize=role_of)
    async with app, sown(app, text):
        found = await crawl(reader(web, check=check))
        assert [path for path, targets in found.items() if not targets] == []


# -- times


EDGES = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
"""Times that some time zones don't have."""


def timed(places: Mapping[str, type[Any]]) -> list[tuple[str, str]]:
    """Return the parameters of pages that are times, each with the path of its page."""
    found = [
        (path, name)
        for path, query in places.items()
        for name, hint in get_type_hints(query).items()
        if hint is datetime or datetime in get_args(hint)
    ]
    assert found
    return found


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
async def test_a_time_at_the_end_of_the_calendar_is_shown_on_each_page(app: App, zone: str) -> None:
    web, api = dashboard(app, authorize=role_of), admin_api(app, authorize=role_of)
    headers = {"x-role": "admin", "cookie": f"asyncjobs_zone={quote(zone, safe='')}"}
    pages = timed({page.path: page.query for page in PAGES})
    routes = timed({route.path: route.query for route in ROUTES if route.method == "GET"})
    async with app, sown(app, "plain"):
        for edge in EDGES:
            for asked, (path, name) in [*((web, one) for one in pages), *((api, one) for one in routes)]:
                target = f"{path}?{name}={quote(edge)}" + ("&verb=retry" if path == "/act" else "")
                assert (await fetch(asked, target, headers=headers)).status == 200, target
