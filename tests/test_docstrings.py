"""What a program may use says what it does: each exported name, with its parameters, its fields and its errors.

Docstrings are read from the source, since Python keeps none for fields and constants.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from asyncjobs import errors

ROOT = Path(__file__).parents[1]
REFERENCE = (ROOT / "docs" / "reference" / "api.md").read_text()

MODULES = [
    "asyncjobs",
    "asyncjobs.errors",
    "asyncjobs.middleware",
    "asyncjobs.ports",
    "asyncjobs.settings",
    "asyncjobs.telemetry",
    "asyncjobs.tenancy",
    "asyncjobs.tenancy.psycopg",
    "asyncjobs.tenancy.sqlalchemy",
    "asyncjobs.testing",
    "asyncjobs.testing.conformance",
]

# What exported names take or return.
OTHER_TYPES = [
    "asyncjobs.app.verbs.dead.DeadFilter",
    "asyncjobs.core.record.envelope.Envelope",
    "asyncjobs.core.record.envelope.JobError",
    "asyncjobs.core.settlement.HistoryEntry",
    "asyncjobs.core.settlement.Settlement",
]

# Programs are given objects of these classes, and don't make any.
MADE_BY_ASYNCJOBS = {
    "AsyncJobDefinition",
    "FakeJob",
    "JobCall",
    "JobContext",
    "JobDefinition",
    "JobHandle",
    "Kit",
    "Registry",
    "SyncApp",
    "SyncJobDefinition",
}

# The class that describes the fields of another: what a user gives, and what is made of it.
FIELDS_DESCRIBED_BY = {
    "CallOptions": "SendOptions",
    "DefinitionOptions": "JobOptions",
    "Settings": "SettingOptions",
}

# Methods that Python describes, those of a coroutine.
DESCRIBED_BY_PYTHON = {"Sending": {"send", "throw", "close"}}

# Makes a method of ``app.sync`` from one of the app, with the same docstring.
TWIN = "_twin"

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Definition(NamedTuple):
    """A statement that defines a name, the module in which it stands, and whether a string literal is under it."""

    module: str
    node: ast.stmt
    has_literal: bool


# -- from a name to its source


def definitions(body: list[ast.stmt], module: str) -> Iterator[tuple[str, Definition]]:
    """Yield the names that statements define or import, each with its definition."""
    for node, under in zip(body, [*body[1:], None], strict=True):
        has_literal = isinstance(under, ast.Expr) and isinstance(under.value, ast.Constant)
        definition = Definition(module, node, has_literal)
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef() if not has_decorator(node, "overload"):
                yield node.name, definition
            case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
                yield ast.unparse(target), definition
            case ast.ImportFrom(names=names):
                yield from ((alias.name, definition) for alias in names)


def has_decorator(node: ast.ClassDef | Function, name: str) -> bool:
    return name in [ast.unparse(one) for one in node.decorator_list]


@functools.cache
def names_in(module: str) -> dict[str, Definition]:
    path = ROOT.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return dict(definitions(ast.parse(source.read_text()).body, module))


def find(module: str, name: str) -> Definition | None:
    """Return the definition of a name, in the module that it is imported from; ``None`` if it isn't ours."""
    found = names_in(module).get(name)
    if found is not None and isinstance(found.node, ast.ImportFrom):
        origin = str(found.node.module)
        return find(origin, name) if origin.startswith("asyncjobs") else None
    return found


def public_names() -> dict[str, Definition]:
    """Return the definitions of public names, by the path at which each is defined."""
    paths = [f"{module}.{name}" for module in MODULES for name in importlib.import_module(module).__all__]
    paths += OTHER_TYPES
    paths += re.findall(r"^::: (\S+\.[A-Z]\w+)$", REFERENCE, re.MULTILINE)
    found = {}
    for module, _, name in (path.rpartition(".") for path in paths):
        definition = find(module, name)
        assert definition is not None, f"{module} has no definition of {name}"
        found[f"{definition.module}.{name}"] = definition
    return found


def lineage(definition: Definition) -> list[ast.ClassDef]:
    """Return a class and those of its bases that are ours, the class first."""
    assert isinstance(definition.node, ast.ClassDef)
    classes = [definition.node]
    for base in definition.node.bases:
        match base:
            case ast.Name(name) | ast.Subscript(ast.Name(name)) if found := find(definition.module, name):
                classes += [one for one in lineage(found) if one not in classes]
    return classes


# -- what the source says


def section(text: str, title: str) -> set[str]:
    """Return the names for which a section of a docstring, such as ``Args:``, has entries."""
    found = re.search(rf"^{title}:\n((?: {{4}}.*\n|\n)+)", text + "\n", re.MULTILINE)
    return set(re.findall(r"^ {4}\*{0,2}(\w+):", found[1], re.MULTILINE)) if found else set()


def parameters_of(node: Function) -> list[str]:
    spec = node.args
    every = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *filter(None, (spec.vararg, spec.kwarg))]
    return [one.arg for one in every if one.arg not in ("self", "cls")]


def errors_raised_in(node: Function) -> set[str]:
    """Return the names of our errors that stand in a ``raise`` of the function itself."""
    raised = [one.exc.func for one in ast.walk(node) if isinstance(one, ast.Raise) and isinstance(one.exc, ast.Call)]
    return {ast.unparse(one) for one in raised}.intersection(errors.__all__)


def returns_something(node: Function) -> bool:
    """Return whether a caller gets a value of a function, or a block gets one of a context manager."""
    return node.returns is not None and not re.search(r"\b(None|NoReturn)\]?$", ast.unparse(node.returns))


def fields_of(classes: list[ast.ClassDef]) -> dict[str, bool]:
    """Return the public attributes of a class, and whether each has a docstring of its own."""
    found: dict[str, bool] = {}
    for node in classes:
        inits = [one.body for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
        for body, prefix in [(node.body, ""), *((init, "self.") for init in inits)]:
            for name, definition in definitions(body, ""):
                match definition.node:
                    case ast.Assign(value=ast.Call(func=ast.Name(maker))) if maker == TWIN:
                        continue
                    case ast.Assign() | ast.AnnAssign() if re.match(rf"{prefix}[^_.]+", name):
                        field = name.removeprefix(prefix)
                        found[field] = found.get(field, False) or definition.has_literal
    return found


# -- and what it doesn't


def gaps_of_function(node: Function) -> Iterator[str]:
    text = ast.get_docstring(node)
    if text is None:
        yield "has no docstring"
        return
    first_line = text.partition("\n")[0]
    parameters, described = parameters_of(node), section(text, "Args")
    # The first line may name a single parameter, by all words of its name.
    if len(parameters) != 1 or not set(parameters[0].split("_")).issubset(re.findall(r"[a-z]+", first_line.lower())):
        yield from (f"says nothing about the parameter {one}" for one in parameters if one not in described)
    yield from (f"has no parameter {one}" for one in sorted(described.difference(parameters)))
    says_result = first_line.startswith("Return") or re.search(r"^(Returns|Yields):$", text, re.MULTILINE)
    if returns_something(node) and not says_result and not has_decorator(node, "property"):
        yield "doesn't say what it returns"
    yield from (f"doesn't say when it raises {one}" for one in sorted(errors_raised_in(node) - section(text, "Raises")))


def gaps_of_class(definition: Definition) -> Iterator[str]:
    classes = lineage(definition)
    name, text = classes[0].name, ast.get_docstring(classes[0])
    if text is None:
        yield "has no docstring"
        return
    fields = fields_of(classes)
    if name in FIELDS_DESCRIBED_BY:
        other = find(definition.module, FIELDS_DESCRIBED_BY[name])
        assert other is not None
        fields |= fields_of(lineage(other))
    yield from (f"has no docstring under {field}" for field, is_described in fields.items() if not is_described)
    methods = [one for node in classes for one in node.body if isinstance(one, Function)]
    if name not in MADE_BY_ASYNCJOBS:
        described = section(text, "Args") | fields.keys()
        parameters = [one for node in methods if node.name == "__init__" for one in parameters_of(node)]
        yield from (f"says nothing about the parameter {one}" for one in parameters if one not in described)
    # A method without a docstring has the one of a base. The name of a test is a sentence, and needs none.
    inherited = set(DESCRIBED_BY_PYTHON.get(name, ()))
    for node in reversed(methods):
        if not node.name.startswith(("_", "test_")) and (ast.get_docstring(node) or node.name not in inherited):
            yield from (f"{node.name}() {gap}" for gap in gaps_of_function(node))
            inherited.add(node.name)


def gaps(definition: Definition) -> list[str]:
    match definition.node:
        case ast.ClassDef():
            return list(gaps_of_class(definition))
        case ast.FunctionDef() | ast.AsyncFunctionDef() as function:
            return list(gaps_of_function(function))
    return [] if definition.has_literal else ["has no docstring under it"]


PUBLIC = public_names()


@pytest.mark.parametrize("path", sorted(PUBLIC))
def test_a_public_name_says_what_it_does(path: str) -> None:
    assert gaps(PUBLIC[path]) == []


@pytest.mark.parametrize("module", MODULES)
def test_a_public_module_says_what_it_is_for(module: str) -> None:
    assert importlib.import_module(module).__doc__
