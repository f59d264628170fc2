"""Resources that are named in the annotation of a parameter."""

from __future__ import annotations

from typing import Annotated, Any, cast

import pytest

from asyncjobs import App, ArgumentsError, DefinitionError, Inject
from asyncjobs.worker.resources.resolving import Resolver
from tests.waiting import SOON
from tests.worker.providers import Session, pool, session

pytestmark = pytest.mark.anyio

Db = Annotated[Session, Inject(session)]


def other() -> Session:
    return Session("other")


async def annotated_provider(db: Db) -> str:
    return f"made of {db.name}"


async def test_a_resource_can_be_named_in_the_annotation(app: App) -> None:
    @app.job
    async def work(text: str, db: Db = Inject(), *, made: Annotated[str, Inject(annotated_provider)]) -> list[str]:
        return [text, db.name, made]

    assert work.request("a").keywords == ()
    async with app:
        with app.override(pool, lambda: "fake"):
            async with app.worker():
                handle = await cast("Any", work).delay("a")
                assert await handle.result(SOON) == ["a", "session of fake", "made of session of fake"]
    assert await work("b", Session("given"), made="by hand") == ["b", "given", "by hand"]


async def test_the_argument_of_a_call_is_refused_for_an_annotated_resource_too(app: App) -> None:
    @app.job
    async def work(text: str, db: Db = Inject()) -> None: ...

    async with app:
        with pytest.raises(ArgumentsError, match=r"work\(\) .*Its parameters are \(text: 'str'\)"):
            work.delay("a", Session())


def test_what_is_added_to_an_alias_last_counts(app: App) -> None:
    @app.job
    async def work(db: Annotated[Db, Inject(other)] = Inject()) -> None: ...

    arguments, _ = Resolver({}).resolve(work.function, "job 'work'")
    assert arguments == {"db": other}


@pytest.mark.parametrize(
    ("annotation", "default", "says"),
    [
        (Session, Inject(), r"job 'work': parameter 'db' is injected by Inject\(\): expected one provider"),
        (Db, Inject(pool), r"job 'work': parameter 'db' is injected by its default and by its annotation"),
        (Annotated[Session, Inject()], Inject(), r"parameter 'db' is injected by Inject\(\)"),
    ],
)
def test_a_parameter_has_one_provider(app: App, annotation: Any, default: Any, says: str) -> None:
    async def work(db: Any = default) -> None: ...

    work.__annotations__["db"] = annotation
    with pytest.raises(DefinitionError, match=says):
        app.job(work)


def test_an_annotated_resource_of_another_type_is_refused_at_the_start(app: App) -> None:
    @app.job
    async def work(number: Annotated[int, Inject(pool)] = Inject()) -> None: ...

    with pytest.raises(DefinitionError, match=r"parameter 'number' is annotated with int, but pool provides str"):
        Resolver({}).resolve(work.function, "job 'work'")


def test_an_annotation_that_can_not_be_resolved_is_named_as_the_cause() -> None:
    def local() -> str:
        return ""

    async def work(text: Annotated[str, Inject(local)] = Inject()) -> None: ...

    with pytest.raises(DefinitionError, match=r"is injected by Inject\(\), and its annotation can't be resolved"):
        Resolver({}).resolve(work, "job 'work'")
