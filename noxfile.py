"""What is checked, and how: `nox -l` lists it, `nox -s tests` is what a newcomer runs."""

from __future__ import annotations

import functools
import glob
import os
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["tests", "lint", "types", "imports", "docs", "package", "deploy"]
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]

# Most tests wait most of the time, so a machine of two cores serves more at once. Neighbours, which share servers, stay
# together until a process has nothing left to do.
SIDE_BY_SIDE = ["--numprocesses", "3", "--dist", "worksteal"]


def _install(session: nox.Session, *groups: str) -> None:
    """Install the project as a user would, and the named dependency groups of pyproject.toml."""
    project = nox.project.load_toml("pyproject.toml")
    session.install(".[cli]", *nox.project.dependency_groups(project, *groups))


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, on the Python that runs nox, or those of the arguments after `--`; they start their own servers."""
    _install(session, "test", "typing")
    session.run("pytest", *(session.posargs or SIDE_BY_SIDE))


def _tests_on(session: nox.Session, version: str) -> None:
    tests.func(session)


for _version in PYTHONS:
    _on = functools.partial(_tests_on, version=_version)
    _on.__doc__ = f"All tests, on Python {_version}."  # type: ignore[attr-defined]
    nox.session(_on, name=f"tests-{_version}", python=_version)  # type: ignore[call-overload]


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """All tests, or those after `--`, with the lowest versions that pyproject.toml allows, on the oldest Python."""
    project = nox.project.load_toml("pyproject.toml")
    extras = ",".join(project["project"]["optional-dependencies"])
    session.install("uv")
    uv = functools.partial(session.run, "uv", "pip", env={"VIRTUAL_ENV": session.virtualenv.location})
    bounds = os.path.join(session.create_tmp(), "lowest.txt")
    # Of what the tests need besides, the newest that fits: old tools of tests prove nothing.
    uv("compile", "pyproject.toml", "--all-extras", "--resolution=lowest-direct", "--no-deps", "--quiet", "-o", bounds)
    session.log(Path(bounds).read_text())
    groups = nox.project.dependency_groups(project, "test", "typing")
    uv("install", "--quiet", "--constraint", bounds, f".[{extras}]", *groups)
    session.run("pytest", *(session.posargs or SIDE_BY_SIDE))


@nox.session
def lint(session: nox.Session) -> None:
    """Style of the code: ruff, its lint and its format."""
    _install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types: mypy, strictly, on the package; pyright on what users see."""
    _install(session, "test", "typing")
    session.run("mypy")
    session.run("pyright", "asyncjobs/__init__.py", "examples")


@nox.session
def imports(session: nox.Session) -> None:
    """The contract of pyproject.toml on which part may import which."""
    _install(session, "lint")
    session.run("lint-imports", "--no-cache")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, into the folder that is named after `--`; a broken link or reference fails."""
    _install(session, "docs")
    with tempfile.TemporaryDirectory() as folder:
        # MkDocs takes a relative folder from where its configuration is.
        target = os.path.abspath(session.posargs[0]) if session.posargs else folder
        # The theme's makers announce a successor of MkDocs at each build; their versions here are settled.
        quiet = {"NO_MKDOCS_2_WARNING": "1"}
        session.run("mkdocs", "build", "--strict", "-f", "docs/mkdocs.yml", "-d", target, env=quiet)


@nox.session
def package(session: nox.Session) -> None:
    """Build the wheel and the source distribution, look into both, and run the demo from the wheel alone."""
    project = nox.project.load_toml("pyproject.toml")
    session.install(*nox.project.dependency_groups(project, "package"))
    with tempfile.TemporaryDirectory() as folder:
        session.run("python", "-m", "build", "--outdir", folder, ".")
        session.run("twine", "check", "--strict", *glob.glob(f"{folder}/*"))
        [wheel] = glob.glob(f"{folder}/*.whl")
        session.install(f"{wheel}[cli]")
        session.run("python", "-m", "tests.packaged", folder)
        session.chdir(folder)  # away from the source, whose modules would be found first
        session.run("asyncjobs", "--version")
        session.run("asyncjobs", "demo")


@nox.session
def deploy(session: nox.Session) -> None:
    """Lint the files of `examples/deploy`, make the image's environment by its Dockerfile, and run its commands."""
    _install(session, "test", "deploy")
    folder = "examples/deploy"
    session.run("hadolint", f"{folder}/Dockerfile")
    session.run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", f"{folder}/compose.yaml")
    # It has no schema of KEDA's objects, and says so.
    session.run("kubernetes-validate", "--strict", "--quiet", *sorted(glob.glob(f"{folder}/k8s/*.yaml")))
    session.run("pytest", "tests/deploy/run_image.py", *session.posargs)


@nox.session
def vendored(session: nox.Session) -> None:
    """Compare the vendored files of the dashboard with those of their packages on npm; needs npm."""
    _install(session, "test")
    session.run("python", "-m", "tests.vendored")


@nox.session
def pictures(session: nox.Session) -> None:
    """Write the pictures of the dashboard into `docs/images/`; needs Debian's Chromium."""
    _install(session, "test")
    session.run("python", "-m", "docs.pictures")


@nox.session
def api_fuzz(session: nox.Session) -> None:
    """The admin API under schemathesis, which sends what its OpenAPI document allows, and what it doesn't: no 500."""
    _install(session, "test", "fuzz")
    # Schemathesis and what it imports warn of their own.
    session.run("pytest", "tests/admin/fuzz_api.py", "-W", "default", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Speed beside the bare loop, as ratios of one run; takes some minutes and is no test."""
    _install(session, "test")
    session.install("uvloop")
    session.run("python", "-m", "benchmarks.run", *session.posargs)


@nox.session
def budgets(session: nox.Session) -> None:
    """What each page and route of the admin room costs with a million jobs; takes a minute, and fails over a budget."""
    _install(session, "test")
    session.run("python", "-m", "benchmarks.admin", *session.posargs)


@nox.session
def isolation(session: nox.Session) -> None:
    """The isolation of tenants at full length: 20,000 jobs of 200 tenants for each adapter and mode."""
    _install(session, "test")
    size = {"ISOLATION_JOBS": "20000", "ISOLATION_TENANTS": "200"}
    session.run("pytest", "tests/tenancy/test_isolation.py", *session.posargs, env=size)


@nox.session
@nox.parametrize("library", ["arq", "saq[redis]", "celery[redis]", "rq"])
def migration(session: nox.Session, library: str) -> None:
    """The programs of the guides on moving from another library, before and after; each library has its environment."""
    _install(session, "test")
    session.install(library)
    session.run("pytest", "tests/test_migration.py", "-W", "default", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """The fault suite at full length: each fault lasts a minute, and the table says what was lost (nothing)."""
    _install(session, "test")
    session.run("pytest", "tests/faults", *session.posargs, env={"FAULT_SECONDS": "60"})


@nox.session
def soak(session: nox.Session) -> None:
    """What draws by chance, and looks at every page in every way, at full length."""
    _install(session, "test")
    chance = ["tests/simulation", "tests/conformance/test_stateful.py"]
    session.run("pytest", *chance, "tests/admin/test_browser_pages.py", *session.posargs, env={"SOAK": "1"})
