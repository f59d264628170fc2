"""The image's own commands, in an environment that the Dockerfile's own lines have made, on a real server."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import pytest

from tests.deploy.files import COMPOSE, FOLDER, dockerfile, environment_of, manifest
from tests.servers import die_with_parent, free_port
from tests.waiting import SOON, until_sync

ROOT = Path(__file__).parents[2]
BUILT_WITHIN_S = 240
PORTS = ("8000", "8080", "9180")


class Image:
    """What the Dockerfile makes, below a folder in place of the root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(root)}
        self.command: list[str] = []
        self.health: list[str] = []
        self._folder = root

    def inside(self, text: str) -> str:
        """Return a command with its paths below the root of the image."""
        return text.replace("/venv", f"{self.root}/venv")

    def build(self) -> None:
        """Do what each instruction says, but for the user and what belongs to the system."""
        for one in dockerfile():
            verb, rest = one
            match verb:
                case "WORKDIR":
                    self._folder = self.root / rest.lstrip("/")
                    self._folder.mkdir(exist_ok=True)
                case "COPY" if not rest.startswith("--from=build"):
                    self._copy(rest.split()[:-1])
                case "RUN" if not rest.startswith("useradd "):
                    subprocess.run(
                        ["sh", "-ec", self.inside(rest)],
                        cwd=self._folder,
                        env=self._outside(),
                        check=True,
                        timeout=BUILT_WITHIN_S,
                    )
                case "ENV":
                    given = dict(one.split("=", 1) for one in rest.split())
                    given = {name: value.replace("$VERSION", "1.0.0") for name, value in given.items()}
                    self.environ |= {n: self.inside(v).replace("$PATH", self.environ["PATH"]) for n, v in given.items()}
                case "CMD":
                    self.command = one.words
                case "HEALTHCHECK":
                    self.health = one.words
                case "COPY" | "RUN" | "FROM" | "ARG" | "USER":
                    pass
                case _:
                    raise AssertionError(f"{verb} {rest}: what does the test do about it?")

    def _copy(self, names: Sequence[str]) -> None:
        for name in names:
            for found in FOLDER.glob(name):
                target = self._folder / found.name
                shutil.copytree(found, target) if found.is_dir() else shutil.copy(found, target)

    def _outside(self) -> dict[str, str]:
        # How packages are found is the machine's to say.
        return self.environ | {name: value for name, value in os.environ.items() if name.startswith("PIP_")}


class Process(NamedTuple):
    """A command that runs, and the file of what it prints."""

    process: subprocess.Popen[str]
    printed: Path


class Machine:
    """Runs commands of the image, each port of theirs on one that is free."""

    def __init__(self, image: Image, url: str) -> None:
        self.image = image
        self._url = url
        self._running: list[Process] = []

    def ports(self) -> dict[str, str]:
        return {port: str(free_port()) for port in PORTS}

    def environ(self, service: str) -> dict[str, str]:
        given = self.image.environ | environment_of(service)
        assert given["ASYNCJOBS_URL"] == "redis://redis:6379/0"
        return given | {"ASYNCJOBS_URL": self._url}

    def run(self, service: str, words: Sequence[str], ports: dict[str, str]) -> Process:
        """Start a command in the environment that Compose gives to a service."""
        printed = self.image.root / f"printed-{len(self._running)}"
        with printed.open("w") as output:
            process = self._start(service, words, ports, output)
        self._running.append(Process(process, printed))
        return self._running[-1]

    def _start(
        self, service: str, words: Sequence[str], ports: dict[str, str], output: IO[str]
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [ports.get(word, word) for word in words],
            cwd=self.image.root / "srv",
            env=self.environ(service),
            executable=shutil.which(words[0], path=self.image.environ["PATH"]),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=die_with_parent,
        )

    def worker(self) -> Process:
        """Start a worker as the image does, and wait until it is healthy as the image asks."""
        ports = self.ports()
        worker = self.run("worker", self.image.command, ports)

        def is_healthy() -> bool:
            assert worker.process.poll() is None, worker.printed.read_text()
            return self.run("worker", self.image.health, ports).process.wait(SOON) == 0

        until_sync(is_healthy, "the worker is healthy", within=3 * SOON)
        return worker

    def stop(self, worker: Process) -> str:
        """Stop a worker as an orchestrator does; return what it has printed."""
        worker.process.send_signal(signal.SIGTERM)
        code = worker.process.wait(2 * SOON)
        printed = worker.printed.read_text()
        assert code == 0, printed
        return printed

    def close(self) -> None:
        for process, _ in self._running:
            process.kill()
            process.wait(SOON)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    image = Image(tmp_path_factory.mktemp("image"))
    # It lies beside requirements.txt, as a wheel does that no index has.
    (image.root / "build").mkdir()
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(image.root / "build"),
        str(ROOT),
    ]
    subprocess.run(build, check=True, timeout=BUILT_WITHIN_S)
    image.build()
    return image


@pytest.fixture
def machine(image: Image, redis_url: str) -> Iterator[Machine]:
    machine = Machine(image, redis_url)
    yield machine
    machine.close()


def ask(url: str, method: str = "GET", login: str = "") -> tuple[int, str]:
    """Return the status and the text of an answer, 0 if there is none."""
    request = urllib.request.Request(url, method=method)
    if login:
        request.add_header("authorization", "Basic " + base64.b64encode(login.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=SOON) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def web_of(machine: Machine) -> str:
    """Start the web app as Compose does; return its address."""
    ports = machine.ports()
    machine.run("web", COMPOSE["services"]["web"]["command"], ports)
    address = f"http://127.0.0.1:{ports['8000']}"
    until_sync(lambda: ask(f"{address}/livez")[0] == 200, "the web app answers", within=3 * SOON)
    return address


def state_of(web: str, order: int) -> Any:
    return json.loads(ask(f"{web}/orders/{order}")[1]).get("state")


def test_the_image_runs_the_shop_and_says_how_it_is(machine: Machine) -> None:
    worker = machine.worker()
    web = web_of(machine)

    assert ask(f"{web}/orders/7?address=ada@example.com", "POST")[0] == 202
    until_sync(lambda: state_of(web, 7) == "completed", "the order is paid")

    trigger = manifest("ScaledObject", "worker")["spec"]["triggers"][0]["metadata"]
    path = trigger["url"].partition("web.shop.svc")[2]
    status, load = ask(web + path, login="keda:development")
    assert (status, json.loads(load)["slots"]) == (200, 20)
    assert isinstance(json.loads(load)[trigger["valueLocation"]], int)
    assert ask(web + path)[0] == 401

    ports = machine.ports()
    machine.run("dashboard", COMPOSE["services"]["dashboard"]["command"], ports)
    page = f"http://127.0.0.1:{ports['9180']}/workers"
    until_sync(lambda: ask(page)[0] == 401, "the dashboard asks for a password", within=3 * SOON)
    status, text = ask(page, login="admin:development")
    assert (status, "1.0.0" in text) == (200, True)

    printed = machine.stop(worker)
    lines = [json.loads(line) for line in printed.splitlines()]
    [charged] = [line for line in lines if line.get("message") == "charged order 7"]
    assert (charged["job_id"], charged["queue"], charged["logger"]) == ("order-7", "payments", "shop.jobs")


def test_workers_are_replaced_one_after_the_other_while_orders_come_in(machine: Machine) -> None:
    workers = [machine.worker(), machine.worker()]
    web = web_of(machine)
    for number in range(60):
        assert ask(f"{web}/orders/{number}?address=ada@example.com", "POST")[0] == 202
        if number in (20, 40):
            # A new one is ready before an old one goes.
            workers.append(machine.worker())
            machine.stop(workers.pop(0))

    def receipts() -> Any:
        status, text = ask(f"{web}/api/admin/jobs/stats", login="keda:development")
        assert status == 200
        queues = {one["queue_name"]: one for one in json.loads(text)["queues"]}
        assert [one["failed_total"] for one in queues.values()] == [0, 0, 0]
        return queues["emails"]["succeeded_total"]

    until_sync(lambda: receipts() == 60, "the receipts of all orders are sent")
