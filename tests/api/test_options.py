"""The options of jobs: declared once, and told as they are declared."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest
from msgspec import UNSET

from asyncjobs import App, ArgumentsError, DefinitionError
from asyncjobs.core.options import JobOptions, SendOptions, _SharedOptions
from tests.declared import cells_of, docs_of


@pytest.fixture
def work() -> Any:
    @App("memory://").job(queue="images", acks="early")
    async def work() -> None: ...

    return work


def test_an_unknown_option_of_a_call_is_refused_with_the_nearest(work: Any) -> None:
    for verb in (work.with_options, work.request().with_options):
        with pytest.raises(ArgumentsError, match=r"has no option 'prioritty'; it has queue, .*Did you mean 'priority'"):
            verb(prioritty="low")


def test_an_option_of_the_call_is_none_of_the_definition_and_the_other_way_round(work: Any) -> None:
    with pytest.raises(DefinitionError, match="no option 'job_id'"):
        App("memory://").job(job_id="a")  # type: ignore[call-overload]
    with pytest.raises(ArgumentsError, match="no option 'cron'"):
        work.with_options(cron="@daily")


def test_unset_leaves_an_option_as_it_is(work: Any) -> None:
    request = work.with_options(queue="one", metadata={"a": 1}).with_options(queue=UNSET, tenant=UNSET).request()
    assert (request.queue, request.options.metadata, request.options.tenant) == ("one", {"a": 1}, UNSET)


def test_no_limit_is_said_by_none_in_a_definition_alone(work: Any) -> None:
    @App("memory://").job(timeout=None)
    async def endless() -> None: ...

    assert endless.options.timeout_ms is UNSET
    with pytest.raises(ArgumentsError, match="timeout=None: expected seconds or a timedelta"):
        work.with_options(timeout=None)


def test_the_reference_says_of_each_option_what_its_declaration_says() -> None:
    told = cells_of("settings.md", "Jobs")
    declared = docs_of(SendOptions) | docs_of(JobOptions) | docs_of(_SharedOptions)
    # Typed by what sends, so it stands among the arguments of the verb.
    assert told.pop("app")["`.with_options`"] == "yes"
    assert {name: row["meaning"] for name, row in told.items()} == declared
    for where, options in (("`@job`", JobOptions), ("`.with_options`", SendOptions)):
        assert {name for name, row in told.items() if row[where] == "yes"} == get_type_hints(options).keys()
