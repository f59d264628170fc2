"""What waits, who works, what was done by hand, and how the server is, on the command line."""

from __future__ import annotations

import json
import shlex
import sys
from types import ModuleType

import pytest

from asyncjobs import App
from asyncjobs.app.verbs import tenants as verbs_of_tenants
from asyncjobs.cli.doctor import checks, repairs
from asyncjobs.ports import ServerNode, ServerState
from tests.cli.conftest import Run


@pytest.fixture
def shop(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> App:
    """The app of a module ``standing_shop``, which ``--app`` can name."""
    app = App(redis_url)

    @app.job(queue="mail", secret=["token"])
    async def send_email(to: str, token: str = "") -> None: ...

    module = ModuleType("standing_shop")
    module.app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "standing_shop", module)
    return app


def test_the_tenants_are_listed_with_what_waits_of_each(run: Run) -> None:
    assert run("tenants") == (0, "Tenants\n  (none)\n", "")
    for tenant in ("acme", "globex", "acme"):
        run("enqueue", "send_email", "--args", '["ada"]', "--queue", "mail", "--tenant", tenant)
    run("pause", "--tenant", "globex", "--queue", "mail")
    _, header, acme, globex = run("tenants")[1].splitlines()
    assert header.split()[:4] == ["tenant", "waiting", "running", "dead"]
    assert acme.split()[:4] == ["acme", "2", "0", "0"]
    assert globex.endswith("suspended in mail")
    told = json.loads(run("tenants", "--limit", "1", "--json")[1])
    assert ([one["tenant"] for one in told["tenants"]], told["is_exact"]) == (["acme"], True)
    told = run("tenants", "--limit", "1")[2]
    go_on = shlex.split(told.rpartition(", add ")[2])
    code, rest, told = run("tenants", *go_on)
    assert (code, [line.split()[0] for line in rest.splitlines()[2:]], told) == (0, ["globex"], "")
    code, _, told = run("tenants", "--after", "acme")
    assert (code, "expected the next of a page before; leave it out for the first page" in told) == (2, True)
    assert "unused" in run("tenants", "--queue", "unused")[2]


def test_of_a_sample_the_list_of_tenants_says_that_the_next_one_is_by_their_ends(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs_of_tenants, "_SAMPLED", 1)
    for tenant in ("acme", "acme", "globex"):
        run("enqueue", "send_email", "--args", '["ada"]', "--queue", "mail", "--tenant", tenant)
    code, listed, told = run("tenants", "--limit", "1")
    assert (code, [line.split()[:2] for line in listed.splitlines()[2:]]) == (0, [["acme", "~2"]])
    assert told.startswith("asyncjobs: for the next tenants, by their last end, add --after ")
    code, listed, told = run("tenants", *shlex.split(told.rpartition(", add ")[2]))
    assert (code, [line.split()[0] for line in listed.splitlines()[2:]], told) == (0, ["globex"], "")


@pytest.mark.parametrize(
    "name", ["audit", "failed", "limits", "names", "problems", "queues", "stats", "tenants", "top", "workers"]
)
def test_the_app_stands_without_its_option_where_a_command_takes_nothing_else(run: Run, shop: App, name: str) -> None:
    once = ["--once"] if name == "top" else []
    assert run(name, *once, "standing_shop")[0] == 0
    assert "nowhere" in run(name, *once, "nowhere")[2]


def test_a_pause_is_shown_with_who_and_why_and_is_in_the_audit(run: Run) -> None:
    assert run("enqueue", "send_email", "--args", '["ada"]', "--queue", "mail")[0] == 0
    assert run("pause", "--queue", "mail", "--why", "smtp migration")[0] == 0
    code, out, _ = run("queues")
    assert code == 0
    assert "paused by " in out
    assert ": smtp migration" in out
    [queue] = json.loads(run("queues", "--json")[1])
    assert (queue["pending"], queue["holds"][0]["why"]) == (1, "smtp migration")
    assert "@" in queue["holds"][0]["by"]
    pause, enqueue = json.loads(run("audit", "--json")[1])
    assert (pause["via"], pause["verb"], pause["note"]) == ("cli", "pause", "smtp migration")
    assert (enqueue["verb"], enqueue["filter"]) == ("send", {"name": "send_email"})
    code, out, error = run("audit", "--limit", "1")
    assert "smtp migration" in out
    assert pause["id"] in error
    assert "send" in run("audit", "--before", pause["id"])[1]
    assert run("audit", "--limit", "5000")[0] == 2


def test_what_is_suspended_and_set_aside_is_shown(run: Run) -> None:
    assert run("enqueue", "send_email", "--queue", "mail")[0] == 0
    assert run("pause", "--job", "send_email", "--queue", "mail", "--why", "spam")[0] == 0
    out = run("queues")[1]
    assert "Suspended" in out
    assert "spam" in out


def test_arguments_are_checked_by_the_code_and_sent(run: Run, shop: App) -> None:
    code, out, _ = run(
        "enqueue", "send_email", "--args", '{"to": "ada", "token": "hush"}', "--app", "standing_shop:app"
    )
    assert (code, "in queue mail" in out) == (0, True)
    code, _, error = run("enqueue", "send_email", "--args", '{"too": "ada"}', "--app", "standing_shop:app")
    assert code == 2
    assert "too" in error
    code, _, error = run("enqueue", "send_email", "--args", "[1,", "--app", "standing_shop:app")
    assert (code, "JSON" in error) == (2, True)
    shown = run("jobs", "--app", "standing_shop:app", "--json")[1]
    assert json.loads(shown)[0]["arguments"] == {"to": "ada", "token": "‹secret›"}
    again = [
        run("enqueue", "send_email", "--args", '["x"]', "--id", "one", "--app", "standing_shop:app")[1] for _ in "ab"
    ]
    assert "already" not in again[0]
    assert "nothing was sent" in again[1]


def test_a_name_that_the_code_does_not_have_is_sent_with_a_note(run: Run, shop: App) -> None:
    code, out, error = run("enqueue", "sendemail", "--app", "standing_shop:app", "--json")
    sent = json.loads(out)
    assert (code, sent["new"]) == (0, True)
    assert "standing_shop:app has no job 'sendemail'. Did you mean 'send_email'?" in error
    assert f"asyncjobs cancel {sent['id']} --app standing_shop:app" in error
    assert run("cancel", sent["id"], "--app", "standing_shop:app")[0] == 0

    assert run("enqueue", "send_email", "--args", '["ada"]', "--app", "standing_shop:app")[2] == ""
    assert run("enqueue", "sendemail")[2] == ""


def test_workers_are_shown_with_what_they_run(run: Run) -> None:
    code, out, _ = run("workers")
    assert (code, "(none)" in out) == (0, True)


def test_a_server_that_is_fit_is_told_so(run: Run) -> None:
    code, out, _ = run("doctor")
    assert code == 0
    for what in ("version", "latency", "memory", "eviction policy", "persistence", "replicas", "clock", "rights"):
        assert what in out


@pytest.mark.parametrize(
    ("fields", "what", "level", "advice"),
    [
        ({"memory": 90, "max_memory": 100}, "memory", "bad", "raise maxmemory"),
        ({"policy": "allkeys-lru", "max_memory": 100}, "eviction policy", "bad", "maxmemory-policy noeviction"),
        ({"policy": "allkeys-lru"}, "eviction policy", "warn", "maxmemory-policy noeviction"),
        ({"persistence": ()}, "persistence", "warn", "appendonly yes"),
        ({"persistence": ("rdb",)}, "persistence", "warn", "appendonly yes"),
        ({"persistence_failed": True}, "persistence", "bad", "look at its log"),
        ({"replicas": 2, "replicas_lagging": 1}, "replicas", "warn", "INFO replication"),
        ({"clock_skew_ms": -90_000}, "clock", "warn", "NTP"),
        ({"latency_ms": 80.0}, "latency", "warn", "nearer"),
        ({"refused": ("XADD",)}, "rights", "bad", "ACL SETUSER <user> +xadd"),
    ],
)
def test_what_is_not_well_has_a_remedy(fields: dict[str, object], what: str, level: str, advice: str) -> None:
    healthy: dict[str, object] = {"address": "db:6379", "version": "Valkey 9", "persistence": ("aof",)}
    node = ServerNode(**{**healthy, **fields})  # type: ignore[arg-type]
    found = {check.what: check for check in checks(ServerState(kind="redis", nodes=(node,)))}
    assert found[what].level == level
    assert advice in found[what].advice
    assert {check.level for check in found.values() if check.what != what} == {"ok"}


def test_slots_of_limits_that_were_counted_wrongly_are_told() -> None:
    one, other = repairs({"mail": 1, "bulk": 3})
    assert (one.server, one.level) == ("queue mail", "warn")
    assert one.found == "1 slot of its limits was counted wrongly, and set right"
    assert other.found == "3 slots of its limits were counted wrongly, and set right"
    assert list(repairs({})) == []


def test_jobs_in_memory_are_warned_of() -> None:
    [check] = checks(ServerState(kind="memory", nodes=()))
    assert (check.level, "lost" in check.found) == ("warn", True)
