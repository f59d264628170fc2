"""Settings from code, URL and environment."""

from __future__ import annotations

import traceback
from datetime import timedelta
from typing import Any, get_type_hints
from urllib.parse import quote

import pytest
from msgspec import UNSET
from rich.pretty import pretty_repr

from asyncjobs import App, ConfigurationError
from asyncjobs.settings import Server, SettingOptions, Settings, load_settings
from tests.declared import cells_of, docs_of


def test_without_anything_set_the_defaults_hold() -> None:
    settings = load_settings(UNSET, {}, {})
    assert str(settings.server) == "redis://localhost:6379/0"
    assert (settings.lease, settings.concurrency, settings.result_ttl, settings.worker_count) == (30, 100, 3600, 1)
    assert (settings.poll_interval, settings.shutdown_timeout, settings.scheduler_interval) == (1, 30, 5)
    assert (settings.server.max_connections, settings.server.connect_timeout) == (20, 2)
    assert settings.blocked_limit == 300


def test_code_wins_over_the_environment_and_that_over_the_defaults() -> None:
    environ = {"ASYNCJOBS_LEASE": "7", "ASYNCJOBS_QUEUES": "a, b", "ASYNCJOBS_SCHEDULER": "off", "WORKER_COUNT": "3"}
    settings = load_settings(UNSET, {"lease": timedelta(seconds=9), "concurrency": UNSET}, environ)
    assert (settings.lease, settings.queues, settings.scheduler, settings.worker_count) == (9, ("a", "b"), False, 3)


def test_a_setting_given_as_its_default_still_wins() -> None:
    assert load_settings(UNSET, {"lease": 30}, {"ASYNCJOBS_LEASE": "7"}).lease == 30


def test_the_server_comes_from_its_variables_and_a_url_wins_over_them() -> None:
    environ = {"REDIS_HOST": "redis", "REDIS_PORT": "7000", "REDIS_PASSWORD": "secret"}
    server = load_settings(UNSET, {}, environ).server
    assert (server.nodes, server.password) == ((("redis", 7000),), "secret")
    named = load_settings("redis://other", {}, environ).server
    assert (named.nodes, named.password) == ((("other", 6379),), "secret")
    assert load_settings("redis://:mine@other", {}, environ).server.password == "mine"
    assert load_settings(UNSET, {}, {"ASYNCJOBS_URL": "memory://"}).server.scheme == "memory"


@pytest.mark.parametrize(
    ("url", "shown", "mode"),
    [
        ("redis://u:p%40ss@h:1/3?max_connections=9", "redis://h:1/3", "single"),
        ("rediss://h", "rediss://h:6379/0", "single"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock", "single"),
        ("memory://", "memory://", "single"),
        ("redis+sentinel://a:1,b/main/2", "redis+sentinel://a:1,b:26379/main/2", "sentinel"),
        ("redis+cluster://a:1,b", "redis+cluster://a:1,b:6379/0", "cluster"),
    ],
)
def test_a_url_names_one_server_sentinels_or_a_cluster(url: str, shown: str, mode: str) -> None:
    server = load_settings(url, {}, {}).server
    assert (str(server), server.mode) == (shown, mode)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redsi://h", "unknown scheme.*Did you mean 'redis'"),
        ("localhost:6379", "unknown scheme"),
        ("redis://", "names no host"),
        ("redis://h:port", "malformed"),
        ("redis://h:99999", "malformed"),
        ("redis://[::1", "malformed"),
        ("redis://a,b", "several hosts"),
        ("redis://h/main", "for the database"),
        (f"redis://h/{'9' * 5_000}", "for the database"),
        ("redis://h?colour=red", "unknown option 'colour'"),
        ("redis://h?max_connections=none", "max_connections='none'.*a whole number"),
        ("redis+sentinel://h", "names no service"),
        ("redis+cluster://h/1", "a Cluster has only 0"),
        ("redis+cluster://h?database=1", "a Cluster has only 0"),
        ("unix://", "names no socket"),
        ("unix://tmp/redis.sock", "names no socket"),
        (5, "expected text"),
    ],
)
def test_a_malformed_url_is_refused_with_what_is_expected(url: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_settings(url, {}, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lease", 0.5),
        ("lease", "soon"),
        ("lease", True),
        ("lease", float("nan")),
        ("shutdown_timeout", -1),
        ("poll_interval", 0),
        ("max_payload", 10),
        ("max_payload", 1.5),
        ("prefix", "a b"),
        ("prefix", "{x}"),
        ("concurrency", 0),
        ("worker_count", "two"),
        ("queues", ["a", "a"]),
        ("scheduler", "maybe"),
        ("durability", "eventual"),
        ("send_timeout", 0),
    ],
)
def test_a_wrong_value_is_refused_by_setting_value_and_what_is_allowed(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(UNSET, {name: value}, {})
    assert str(caught.value).startswith(f"{name}={value!r}: expected")


def test_a_wrong_value_of_the_environment_names_its_variable() -> None:
    with pytest.raises(ConfigurationError, match=r"lease='x' \(from ASYNCJOBS_LEASE\): expected seconds"):
        load_settings(UNSET, {}, {"ASYNCJOBS_LEASE": "x"})
    with pytest.raises(ConfigurationError, match=r"port='x' \(from REDIS_PORT\)"):
        load_settings(UNSET, {}, {"REDIS_PORT": "x"})


def test_a_password_is_never_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings("redis://user:hunter2@h/main", {}, {})
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in str(load_settings("redis://user:hunter2@h", {}, {}).server)


@pytest.mark.parametrize("url", ["redis://user:hunter2@h", "rediss+sentinel://:hunter2@a,b/main", "unix://:hunter2@/x"])
def test_a_server_shows_its_password_nowhere(url: str) -> None:
    settings = load_settings(url, {}, {})
    assert settings.server.password == "hunter2"
    for one in (settings, settings.server):
        assert "hunter2" not in f"{one} {one!r} {pretty_repr(one)}"


@pytest.mark.parametrize("char", "/?#:@")
@pytest.mark.parametrize("url", ["redis://:hunter{}2x@h/main", "redis://12:hunter{}2x@h", "hunter{}2x@h"])
def test_a_password_that_breaks_its_url_is_not_shown_in_part(url: str, char: str) -> None:
    try:
        shown = repr(load_settings(url.format(char), {}, {}))
    except ConfigurationError as error:
        shown = str(error)
    assert "hunter" not in shown
    assert "2x" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2",
        "redis://:hunter2/x",
        "redis://u:hunter2#x:6379/0",
        "redis://u:hunter2,other",
        "redis:/u:hunter2/x",
        "redis://h:hunter2/0",
        "redis://u@h:hunter2",
        "redis://h?password=hunter2",
        "redis://u:x@h/0?password=hunter2",
        "redis://h/0#hunter2",
        "unix://u:12/hunter2@/run/redis.sock",
        "unix://u:hunter2",
        "unix://u:hunter2?x@/run/redis.sock",
        "unix:///run/redis.sock?password=hunter2",
        "redis+sentinel://u:12/hunter2@a,b/main",
        "redis+sentinel://u:hunter2@a,b",
        "rediss+cluster://u:12?hunter2@a,b",
        "redis+cluster://u:hunter2@a,b/5",
        "redis://u:hunter2\nx@h",
        "redis://u:hunter2\udcff@h",
        "redis://u:hunter2%ff@h",
        b"redis://u:hunter2@h",
        "u:hunter2@h",
    ],
)
@pytest.mark.parametrize("source", ["code", "environment"])
def test_the_error_for_a_malformed_url_shows_nothing_that_may_be_a_password(url: Any, source: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(*((url, {}, {}) if source == "code" else (UNSET, {}, {"ASYNCJOBS_URL": url})))
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("char", "/?#")
def test_the_error_for_a_password_that_breaks_its_url_says_how_to_write_it(char: str) -> None:
    with pytest.raises(ConfigurationError, match=r"write / .* as %2F"):
        load_settings(f"redis://u:hunter{char}2@h", {}, {})


@pytest.mark.parametrize(
    "scheme", ["redis://{}@h", "rediss://{}@h:1/2", "redis+sentinel://{}@a,b/main", "unix://{}@/x"]
)
def test_a_login_may_hold_any_character_percent_encoded(scheme: str) -> None:
    user, password = "a/d:m@n", "/?#:@%[ ]&=+é,\n"
    server = load_settings(scheme.format(f"{quote(user, safe='')}:{quote(password, safe='')}"), {}, {}).server
    assert (server.username, server.password) == (user, password)


def test_the_path_of_a_socket_may_hold_any_character_too() -> None:
    for url in ("unix:///run/a@b%3F%23%20.sock", "unix://u:p@/run/a@b%3F%23%20.sock"):
        assert load_settings(url, {}, {}).server.path == "/run/a@b?# .sock"


def test_a_password_of_the_environment_that_is_no_text_is_not_shown() -> None:
    with pytest.raises(ConfigurationError, match=r"password=\*\*\* \(from REDIS_PASSWORD\)") as caught:
        load_settings(UNSET, {}, {"REDIS_PASSWORD": "hunter2\udcff"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("variable", ["REDIS_PORT", "ASYNCJOBS_PORT"])
@pytest.mark.parametrize("address", ["tcp://10.0.0.1:6379", "udp://10.0.0.1:6379", "tcp://[fd00::1]:6380"])
def test_the_address_that_kubernetes_puts_in_the_place_of_a_port_counts_as_none(variable: str, address: str) -> None:
    environ = {"REDIS_HOST": "redis", variable: address}
    assert load_settings(UNSET, {}, environ).server.nodes == (("redis", 6379),)
    assert load_settings(UNSET, {}, {"REDIS_PORT": "7000", "ASYNCJOBS_PORT": address}).server.nodes[0][1] == 7000


def test_a_variable_that_is_empty_counts_as_unset() -> None:
    empty = {f"ASYNCJOBS_{name.upper()}": "" for name in ("url", "port", "password", *Settings.__struct_fields__)}
    assert load_settings(UNSET, {}, empty) == load_settings(UNSET, {}, {})
    assert load_settings(UNSET, {}, empty | {"REDIS_HOST": "redis"}).server.nodes == (("redis", 6379),)


def _error_of(environ: dict[str, str]) -> str:
    try:
        load_settings(UNSET, {}, environ)
    except ConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("value", ["\udcff", "{ }", "-1", "1e999", "9" * 5_000, "tcp://10.0.0.1"])
def test_whatever_stands_in_a_variable_its_error_names_it(value: str) -> None:
    for name in (*SettingOptions.__annotations__, "host", "port", "database", "replicas", "connect_timeout", "url"):
        variable = f"ASYNCJOBS_{name.upper()}"
        message = _error_of({variable: value})
        assert variable in (message or variable)
        assert len(message) < 500


def test_a_wrong_value_that_does_not_count_is_not_complained_of() -> None:
    environ = {"ASYNCJOBS_LEASE": "x", "REDIS_PORT": "x", "ASYNCJOBS_CONNECT_TIMEOUT": "x"}
    settings = load_settings("redis://h?connect_timeout=3", {"lease": 5}, environ)
    assert (settings.lease, settings.server) == (5, Server(nodes=(("h", 6379),), connect_timeout=3))


def test_an_unknown_keyword_is_refused_with_the_nearest() -> None:
    for name, nearest in [("lese", "lease"), ("max_ded", "max_dead"), ("middlewares", "middleware")]:
        with pytest.raises(ConfigurationError, match=f"no keyword '{name}'. Did you mean '{nearest}'"):
            App("memory://", **{name: 5})  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        App("memory://", host="h")  # type: ignore[call-arg]


def test_every_setting_is_a_keyword_and_every_keyword_a_setting() -> None:
    assert ["server", *get_type_hints(SettingOptions)] == list(Settings.__struct_fields__)


def test_the_reference_says_of_each_setting_what_its_declaration_says() -> None:
    told = cells_of("settings.md", "App and workers")
    assert {name: row["meaning"] for name, row in told.items()} == docs_of(SettingOptions)
    for name, row in told.items():
        with pytest.raises(ConfigurationError) as caught:
            load_settings(UNSET, {name: object()}, {})
        assert row["expected"] == str(caught.value).partition(": expected ")[2]


def test_the_reference_says_of_the_server_what_its_declaration_says() -> None:
    told = cells_of("settings.md", "The server")
    declared = docs_of(Server)
    for name in told.keys() - {"url", "host", "port"}:
        assert told[name]["meaning"] == declared[name]
        assert told[name]["default"].replace("none", "None") == f"{getattr(Server(), name)}".removesuffix(".0")


def test_sending_may_wait_for_ever() -> None:
    assert load_settings(UNSET, {"send_timeout": float("inf")}, {}).send_timeout == float("inf")
