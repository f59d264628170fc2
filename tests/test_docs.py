"""The README and the documentation: their snippets run, their links lead somewhere, their tables are complete."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import re
import shlex
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import pytest

import asyncjobs
from asyncjobs import App, errors
from asyncjobs.app.sync import SyncApp
from asyncjobs.cli import main as command_line
from asyncjobs.cli.main import make_parser
from asyncjobs.core.server import URL_OPTIONS
from asyncjobs.jobs.registry import default_registry
from asyncjobs.ports import Broker
from asyncjobs.settings import load_settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
WITHIN_S = 30

# `<!-- run -->` before a block: it is run, as told at `run_page`; `<!-- run-sync -->`: without an event loop.
SNIPPET = re.compile(
    r"(?:^[ \t]*<!-- (?P<mark>run|run-sync) -->\n)?^(?P<indent>[ \t]*)```python\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"\]\((?!https?:)(?P<path>[^)#\s]+)(?:#[^)]*)?\)")


class Snippet(NamedTuple):
    mark: str
    code: CodeType


def snippets(page: Path) -> list[Snippet]:
    """Compile every Python block of a page; `await` may stand outside a function."""
    text = page.read_text()
    found = []
    for match in SNIPPET.finditer(text):
        # Blank lines before it, so that an error names the line of the page.
        code = "\n" * text.count("\n", 0, match.start("code")) + textwrap.dedent(match["code"])
        # On no server: the snippets of a page run on a broker in memory.
        code = code.replace("redis://localhost:6379/0", "memory://")
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        found.append(Snippet(match["mark"] or "", compile(code, str(page), "exec", flags, dont_inherit=True)))
    return found


RUNNABLE = [page for page in PAGES if any(snippet.mark for snippet in snippets(page))]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


async def run_main(app: App, main: Any) -> None:
    """Run a coroutine function of a page, with a worker beside it for those that await results."""
    async with asyncio.timeout(WITHIN_S), app, app.worker():
        await main()


def run_page(page: Path) -> None:
    """Run the marked blocks of ``page`` one after the other, as one module, and what they define.

    Each parameterless coroutine function that isn't a job is what a program would run, so it is run as well.
    """
    module: dict[str, Any] = {"__name__": "page"}
    for snippet in snippets(page):
        if not snippet.mark:
            continue
        before = set(module)
        exec(snippet.code, module)
        for name in [name for name in module if name not in before]:
            value = module[name]
            if inspect.iscoroutinefunction(value) and not inspect.signature(value).parameters:
                assert snippet.mark == "run"
                asyncio.run(run_main(module["app"], value))


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the page's library jobs afterwards, since other pages name theirs the same."""
    known = dict(default_registry._jobs)
    for name in ("ASYNCJOBS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    yield
    default_registry._jobs.clear()
    default_registry._jobs.update(known)


@pytest.fixture
def as_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Make the marked blocks of a page importable as the module `page`, as a process for a handler does."""

    def write(page: Path) -> None:
        blocks = [textwrap.dedent(match["code"]) for match in SNIPPET.finditer(page.read_text()) if match["mark"]]
        (tmp_path / "page.py").write_text("\n".join(blocks))
        monkeypatch.syspath_prepend(tmp_path)

    return write


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_the_marked_snippets_of_a_page_run(page: Path, as_module: Callable[[Path], None]) -> None:
    as_module(page)
    run_page(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_snippet_is_python(page: Path) -> None:
    assert len(snippets(page)) == page.read_text().count("```python")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    paths = [match["path"] for match in LINK.finditer(page.read_text())]

    assert [path for path in paths if not (page.parent / path).exists()] == []


def test_the_readme_is_among_the_pages_that_run() -> None:
    assert ROOT / "README.md" in RUNNABLE
    assert len(RUNNABLE) > 5


def test_every_page_is_in_the_navigation_or_among_the_decisions() -> None:
    navigation = (DOCS / "mkdocs.yml").read_text()
    # Each with its heading, as the list of decisions names it.
    decisions = sorted((DOCS / "decisions").glob("0*.md"))
    titles = [page.read_text().splitlines()[0].removeprefix("# ").partition(". ") for page in decisions]
    listed = (DOCS / "decisions/index.md").read_text().splitlines()[-len(decisions) :]
    wanted = [f"{number}. [{title}]({page.name})" for (number, _, title), page in zip(titles, decisions, strict=True)]
    assert listed == wanted

    pages = set(DOCS.rglob("*.md")) - set(decisions)
    assert [page for page in pages if str(page.relative_to(DOCS)) not in navigation] == []


def test_every_file_that_the_page_on_architecture_names_is_there() -> None:
    page = (DOCS / "explanation" / "architecture.md").read_text()
    known = [f"/{path.relative_to(ROOT)}" for path in (ROOT / "asyncjobs").rglob("*")]
    named = set(re.findall(r"`([\w/]+\.(?:py|lua))`", page))

    assert len(named) > 50
    assert [name for name in sorted(named) if not any(path.endswith(f"/{name}") for path in known)] == []


def test_every_script_is_on_the_page_of_the_data_in_redis() -> None:
    page = (DOCS / "explanation" / "redis-model.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("|")]
    told = set(re.findall(r"[a-z_]+", " ".join(rows)))
    assert {script.stem for script in (ROOT / "asyncjobs/brokers/redis/lua").glob("*.lua")} <= told


def test_every_public_name_is_in_the_reference() -> None:
    page = (DOCS / "reference" / "api.md").read_text()
    # Errors are listed by their module.
    names = [name for name in asyncjobs.__all__ if not hasattr(errors, name)]

    assert [name for name in names if f"::: asyncjobs.{name}\n" not in page] == []
    assert [name for name in vars(SyncApp) if not name.startswith("_") and f"`{name}`" not in page] == [
        "enqueue_many",
        "result",
    ]


def test_the_table_of_settings_is_complete_and_tells_the_defaults() -> None:
    page = (DOCS / "reference" / "settings.md").read_text()
    rows: dict[str, list[str]] = {}
    for line in page.partition("\n## Jobs\n")[0].splitlines():
        cells = line.split("|")
        if len(cells) > 4:
            rows[cells[1].strip(" `")] = cells
    settings = load_settings("memory://", {}, {})
    told_in_words = {"queues", "encryption_keys", "blocked_limit", "handler_processes"}

    for name in type(settings).__struct_fields__:
        if name == "server":
            continue
        assert f"`ASYNCJOBS_{name.upper()}`" in rows[name][3]
        if name not in told_in_words:
            default = getattr(settings, name)
            shown = ("on" if default else "off") if isinstance(default, bool) else str(default).removesuffix(".0")
            assert rows[name][2].strip(" `") == shown
    for name in ("host", "port", "password", *URL_OPTIONS):
        assert f"`ASYNCJOBS_{name.upper()}`" in rows[name][4]


COMMAND_LINE = (DOCS / "reference" / "cli.md").read_text()
SECTIONS = re.findall(r"^## asyncjobs (.+)$", COMMAND_LINE, re.MULTILINE)


BLOCK = re.compile(r"^```\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(
    r"^(?:[A-Z_]+=\S+ )*asyncjobs (?P<arguments>(?P<name>[a-z]+)\b.*?)(?: +#.*| \| .*)?$", re.MULTILINE
)


def test_every_command_that_a_page_shows_is_understood() -> None:
    names = {command for section in SECTIONS for command in section.split(", ")}
    shown = {
        (name_of(page), line["arguments"])
        for page in PAGES
        for block in BLOCK.finditer(page.read_text())
        for line in COMMAND.finditer(block["text"])
        if line["name"] in names
    }
    wrong = []
    for page, arguments in sorted(shown):
        try:
            make_parser().parse_args(shlex.split(arguments))
        except SystemExit as error:
            wrong += [(page, arguments)] if error.code else []

    assert len(shown) > 60
    assert wrong == []


def help_of(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    with pytest.raises(SystemExit):
        command_line([*command, "--help"])
    return capsys.readouterr().out


def options_in(section: str) -> set[str]:
    text = COMMAND_LINE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(--[a-z-]+)`", text, re.MULTILINE))


def test_every_command_has_a_section(capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^    ([a-z]+)", help_of(capsys), re.MULTILINE)

    assert len(commands) > 5
    assert sorted(commands) == sorted(command for section in SECTIONS for command in section.split(", "))


def test_each_port_of_a_broker_is_in_the_table_of_ports_and_in_the_reference() -> None:
    ports = {one.__name__ for one in Broker.__mro__} - {"Broker", "JobQueue", "Protocol", "Generic", "object"}
    assert {"Intake", "Limits"} <= ports
    how_to, reference = ((DOCS / page).read_text() for page in ("how-to/write-a-broker.md", "reference/api.md"))
    assert set(re.findall(r"^\| `([A-Z][A-Za-z]+)` \|", how_to, re.MULTILINE)) == ports
    assert ports <= set(re.findall(r"^::: asyncjobs\.ports\.([A-Za-z]+)$", reference, re.MULTILINE))


def test_the_commands_that_take_the_app_without_an_option_are_named() -> None:
    told = COMMAND_LINE.partition("The app may stand without `--app` too")[2].partition(": ")[2].partition(".\n\n")[0]
    names = {command for section in SECTIONS for command in section.split(", ")}
    taking = set()
    for name in names:
        with contextlib.suppress(SystemExit):
            taking |= {name} if getattr(make_parser().parse_args([name, "shop:app"]), "short_app", None) else set()
    assert set(re.findall("`([a-z]+)`", told)) == taking


@pytest.mark.parametrize("section", SECTIONS)
def test_every_option_of_a_command_is_in_its_table(section: str, capsys: pytest.CaptureFixture[str]) -> None:
    told: set[str] = set()
    for command in section.split(", "):
        told |= set(re.findall(r"^  (--[a-z-]+)", help_of(capsys, command), re.MULTILINE))
    common = options_in("Where the broker is")

    assert len(common) == 3
    # Those of nearly every command are told once.
    assert options_in(f"asyncjobs {section}") | (common & told) == told
