"""The charts of the dashboard: their numbers, their pictures in a browser, and the files of others that draw them."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from asyncjobs import App, QueueSeries
from asyncjobs.admin import dashboard
from asyncjobs.admin.dashboard.charts import queue_charts, spark
from tests.admin.browser import needs_chromium, page_of
from tests.admin.test_api import role_of
from tests.apps import broker_of
from tests.vendored import FOLDER, vendored
from tests.waiting import until_sync
from tests.web import fetch

HOUR = 3_600
START = 1_800_000_000 // (24 * HOUR) * 24 * HOUR


def series(step: int, ended: list[int], start: int = START) -> QueueSeries:
    numbers: dict[str, Any] = {one: [0] * len(ended) for one in QueueSeries.__struct_fields__}
    at = [start + step * number for number in range(len(ended))]
    return QueueSeries(**numbers | {"queues": ("default",), "step_s": step, "at": at, "succeeded": ended})


def test_each_vendored_file_is_the_one_of_the_table() -> None:
    table = {one.file: one for one in vendored()}
    assert {one.name for one in FOLDER.iterdir()} == {*table, "README.md"}
    for name, one in table.items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == one.sha256
        assert one.version in (FOLDER / "uPlot.iife.min.js").read_text(encoding="utf-8")[:200]
        assert one.licence == "MIT"
    assert "MIT License" in (FOLDER / "uPlot.LICENSE.txt").read_text(encoding="utf-8")


def test_the_last_step_which_has_just_begun_is_left_out() -> None:
    charts = queue_charts(series(60, [5, 6, 7, 1]), series(60, []), 1)
    assert [one.id for one in charts] == ["ended", "depth", "wait", "run"]
    assert charts[0].title == "Jobs that came in and ended, each minute"
    assert charts[0].columns[0].values == [5, 6, 7]
    assert [row[0] for row in charts[0].rows] == [datetime.fromtimestamp(START + 60 * n, UTC) for n in (2, 1, 0)]


def test_the_day_before_stands_beside_by_the_same_time_of_day() -> None:
    day = 24 * HOUR
    chart, *_ = queue_charts(series(HOUR, [1, 2, 3, 4]), series(HOUR, [10, 20, 30, 40], START - day), 1)
    assert chart.columns[-1].label == "ended the day before"
    assert chart.columns[-1].values == [10, 20, 30]
    # The minutes of yesterday are gone: a minute is a sixtieth of its hour.
    chart, *_ = queue_charts(series(60, [1] * 4, START + HOUR - 120), series(HOUR, [600, 1200], START - day), 1)
    assert chart.columns[-1].values == [10, 10, 20]
    chart, *_ = queue_charts(series(60, [1] * 4), series(HOUR, [0, 0], START - day), 1)
    assert chart.columns[-1].values == [None] * 3
    chart, *_ = queue_charts(series(3 * HOUR, [1, 2, 3]), series(3 * HOUR, [10, 20, 30], START - 7 * day), 7)
    assert (chart.columns[-1].label, chart.columns[-1].values) == ("ended the week before", [10, 20])


@pytest.mark.anyio
async def test_a_deploy_is_marked_also_where_its_workers_have_gone() -> None:
    app, now_ms = App("memory://"), int(datetime.now(UTC).timestamp() * 1000)
    web = dashboard(app, authorize=role_of)
    async with app:
        await broker_of(app).note_deploy("9f3c1e7", now_ms - 30 * 60_000)
        await broker_of(app).note_deploy("0ld", now_ms - 3 * 3_600_000)
        for path, marked in (("/", ["9f3c1e7"]), ("/?span=6h", ["0ld", "9f3c1e7"]), ("/names/x", ["0ld", "9f3c1e7"])):
            body = (await fetch(web, path, headers={"x-role": "viewer"})).body.decode()
            assert re.findall(r"<bdi>([^<]*)</bdi> at [0-9]", body) == marked


@pytest.mark.anyio
async def test_the_first_page_reads_the_minutes_of_a_queue_once_for_its_charts_and_its_problems() -> None:
    app = App("memory://")
    web = dashboard(app, authorize=role_of)

    @app.job
    async def work() -> None: ...

    async with app:
        await work.delay()
        # What stands on each page is kept from now on.
        await fetch(web, "/queues", headers={"x-role": "admin"})
        broker, read = broker_of(app), []
        series = broker.series

        async def counted(queue: str, step: str, *args: int) -> Any:
            read.append(step)
            return await series(queue, step, *args)

        broker.series = counted
        page = await fetch(web, "/", headers={"x-role": "admin"})
        assert "Jobs that came in and ended" in page.body.decode()
        assert sorted(read) == ["hour", "minute"]


def test_a_chart_without_any_value_is_empty_and_zeros_are_values() -> None:
    charts = queue_charts(series(60, [0, 0, 0, 0]), series(60, []), 1)
    assert [one.is_empty for one in charts] == [False] * 4
    blank = charts[0]._replace(columns=[one._replace(values=[None] * 3) for one in charts[0].columns])
    assert blank.is_empty


def test_a_spark_line_stays_in_its_box() -> None:
    assert spark([0, 5, 10]) == "0.0,17.0 45.0,9.0 90.0,1.0"
    assert spark([0, 0]) == "0.0,17.0 90.0,17.0"
    assert spark([1_000_000] * 30).startswith("0.0,1.0 ")


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_chart_is_drawn_beside_the_table_of_its_numbers(chromium: Any, shop_to_see: str, scheme: str) -> None:
    with page_of(chromium, shop_to_see, color_scheme=scheme) as page:
        for path, count in (("/", 4), ("/?span=24h", 4), ("/queues/images?span=6h", 4), ("/names/resize", 2)):
            page.goto(shop_to_see + path)
            page.locator(".plot canvas").first.wait_for()
            nothing = page.locator("figure .empty").all_inner_texts()
            assert page.locator(".plot canvas").count() == count - len(nothing)
            assert set(nothing) <= {"Nothing is known of this time."}
            assert page.locator("figure .numbers table").count() == count
        page.goto(f"{shop_to_see}/")
        page.get_by_text("As a table").first.click()
        assert page.locator("figure").first.get_by_role("columnheader").all_inner_texts()[:2] == ["from", "ended"]


@needs_chromium
def test_a_chart_follows_the_pointer_the_window_and_what_is_new(chromium: Any, shop_to_see: str) -> None:
    with page_of(chromium, shop_to_see, viewport={"width": 1200, "height": 800}) as page:
        page.goto(f"{shop_to_see}/queues/images")
        plot = page.locator(".plot .u-over").first
        plot.hover()
        until_sync(lambda: ":" in page.locator(".u-legend .u-value").first.inner_text(), "the legend tells the time")
        page.set_viewport_size({"width": 400, "height": 800})
        until_sync(
            lambda: page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the chart fits the window"
        )
        drawn = page.locator(".plot canvas").count()
        page.evaluate("""() => {
            const region = document.querySelector('.charts').parentElement;
            region.querySelectorAll('.plot').forEach((one) => one.replaceChildren());
            region.replaceChildren(...region.cloneNode(true).childNodes);
            region.dispatchEvent(new CustomEvent('fresh', { bubbles: true }));
        }""")
        assert page.locator(".plot canvas").count() == drawn >= 1


@needs_chromium
def test_a_deploy_is_drawn_where_it_was_and_after_zooming_only_those_that_can_be_seen(
    chromium: Any, shop_to_see: str
) -> None:
    with page_of(chromium, shop_to_see, viewport={"width": 1200, "height": 800}) as page:
        page.add_init_script("""
            window.told = [];
            const draw = CanvasRenderingContext2D.prototype.fillText;
            CanvasRenderingContext2D.prototype.fillText = function (text, ...at) {
                window.told.push(text);
                draw.call(this, text, ...at);
            };
        """)
        page.goto(f"{shop_to_see}/queues/images")
        page.locator(".plot canvas").first.wait_for()
        # So that the page stands still.
        page.get_by_text("As a table").first.click()
        # One at a quarter of the first chart, one at three quarters, and one in the minute that isn't over yet.
        page.evaluate("""() => {
            const all = document.querySelector('.charts');
            const times = [...all.querySelector('.numbers').querySelectorAll('[data-x]')].map((one) => +one.dataset.x);
            const [first, last] = [Math.min(...times), Math.max(...times)];
            const at = (part) => new Date((first + part * (last - first)) * 1000).toISOString();
            all.dataset.marks = JSON.stringify([[at(0.25), 'early'], [at(0.75), 'late'], [at(1.02), 'latest']]);
            all.querySelectorAll('.plot').forEach((one) => one.replaceChildren());
            window.told = [];
            all.parentElement.dispatchEvent(new CustomEvent('fresh', { bubbles: true }));
        }""")

        def told() -> list[str]:
            names = page.evaluate("window.told")
            return [one for one in ("early", "late", "latest") if one in names]

        until_sync(lambda: told() == ["early", "late", "latest"], "all deploys are drawn")
        box = page.locator(".plot .u-over").first.bounding_box()
        page.evaluate("window.told = []")
        page.mouse.move(box["x"] + 2, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20, steps=5)
        page.mouse.up()
        until_sync(lambda: told(), "the chart is drawn anew")
        assert told() == ["early"]


@needs_chromium
def test_without_script_the_numbers_are_there(chromium: Any, shop_to_see: str) -> None:
    with page_of(chromium, shop_to_see, java_script_enabled=False) as page:
        page.goto(f"{shop_to_see}/queues/images")
        assert page.locator("canvas").count() == 0
        page.get_by_text("As a table").first.click()
        assert page.locator("figure").first.locator(".numbers tbody tr").count() == 59
        page.goto(f"{shop_to_see}/")
        page.get_by_role("link", name="7d").click()
        assert page.locator(".spans [aria-current]").inner_text() == "7d"
