"""Two programs on one broker whose jobs have the same names: a worker that starts says so, and names both modules."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from asyncjobs import App, BrokerUnavailable
from tests.apps import broker_of
from tests.waiting import SOON

pytestmark = pytest.mark.anyio


def function_of(module: str, name: str = "thumbnail") -> Any:
    """Return a function as it would be imported from a module."""
    found = ModuleType(module)
    exec(f"async def {name}() -> str: return __name__", found.__dict__)
    return getattr(found, name)


def program(make_app: Callable[..., App], module: str, *names: str, **options: Any) -> App:
    """Return the app of a program with jobs of these names."""
    app = make_app()
    for name in names:
        app.job(**options)(function_of(module, name))
    return app


async def warnings_of(first: App, second: App, caplog: pytest.LogCaptureFixture, **queues: Any) -> list[str]:
    """Return what a worker of ``second`` says when it starts beside one of ``first``."""
    async with first, second, first.worker():
        caplog.clear()
        with caplog.at_level(logging.WARNING, "asyncjobs"):
            async with second.worker(**queues):
                pass
        return [record.getMessage() for record in caplog.records]


async def test_a_worker_names_the_modules_that_define_jobs_of_its_names(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    photos, shop = program(make_app, "photos.jobs", "thumbnail", "other"), program(make_app, "shop.images", "thumbnail")
    [said] = await warnings_of(photos, shop, caplog)
    assert said.startswith("'thumbnail' is defined here in shop.images, and in photos.jobs for the worker ")
    assert "App(prefix='…')" in said
    assert "@job(name='…')" in said


async def test_many_jobs_of_two_modules_are_one_warning(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"job{number}" for number in range(9)]
    photos, shop = program(make_app, "photos", *names), program(make_app, "shop", *names)
    async with photos, photos.worker(), photos.worker():
        [said] = await warnings_of(photos, shop, caplog)
    assert said.startswith("'job0', 'job1', 'job2', 'job3', 'job4', … is defined here in shop, and in photos for")


async def test_an_alias_is_a_name_too(make_app: Callable[..., App], caplog: pytest.LogCaptureFixture) -> None:
    photos, shop = program(make_app, "photos", "thumbnail"), program(make_app, "shop", "image", aliases=("thumbnail",))
    [said] = await warnings_of(photos, shop, caplog)
    assert "'thumbnail' is defined here in shop" in said


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("shop.jobs", "shop.jobs"),
        ("shop.jobs", "src.shop.jobs"),
        ("src.shop.jobs", "shop.jobs"),
        ("jobs", "shop.jobs"),
        (str(sys.modules["__main__"].__spec__ and sys.modules["__main__"].__spec__.name), "__main__"),
    ],
)
async def test_the_same_program_is_no_other_one(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture, first: str, second: str
) -> None:
    assert not await warnings_of(program(make_app, first, "thumbnail"), program(make_app, second, "thumbnail"), caplog)


async def test_programs_without_a_common_queue_or_prefix_or_name_have_no_namesakes(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    photos, shop = program(make_app, "photos", "thumbnail"), program(make_app, "shop", "thumbnail", queue="shop")
    assert not await warnings_of(photos, shop, caplog, queues=["shop"])
    assert not await warnings_of(photos, program(make_app, "shop", "image"), caplog)


async def test_programs_with_prefixes_of_their_own_have_no_namesakes(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    photos = program(lambda: App(redis_url, prefix="photos"), "photos", "thumbnail")
    shop = program(lambda: App(redis_url, prefix="shop"), "shop", "thumbnail")
    assert not await warnings_of(photos, shop, caplog)


async def test_a_handler_without_a_module_is_no_namesake(
    make_app: Callable[..., App], caplog: pytest.LogCaptureFixture
) -> None:
    found: dict[str, Any] = {}
    exec("async def thumbnail() -> None: ...", found)
    assert found["thumbnail"].__module__ in (None, "builtins")
    found["thumbnail"].__module__ = None
    photos, shop = make_app(), program(make_app, "shop", "thumbnail")
    photos.job(found["thumbnail"])
    assert not await warnings_of(photos, shop, caplog)
    async with photos, photos.worker():
        assert len((await photos.stats()).workers) == 1


async def test_a_worker_starts_though_it_can_not_look_for_namesakes(make_app: Callable[..., App]) -> None:
    async def fail() -> Any:
        raise BrokerUnavailable("away")

    app = program(make_app, "shop", "thumbnail")
    async with app:
        handle = await app.registry.get("thumbnail").delay()
        broker_of(app).workers = fail
        async with app.worker():
            assert await handle.result(SOON) == "shop"
