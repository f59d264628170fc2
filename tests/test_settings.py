"""Settings from code, URL and environment."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import UNSET

from asyncjobs import ConfigurationError
from asyncjobs.settings import load_settings


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
        ("redis://a,b", "several hosts"),
        ("redis://h/main", "for the database"),
        ("redis://h?colour=red", "unknown option 'colour'"),
        ("redis://h?max_connections=none", "max_connections='none'.*a whole number"),
        ("redis+sentinel://h", "names no service"),
        ("redis+cluster://h/1", "a Cluster has only 0"),
        ("unix://", "names no socket"),
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


def test_sending_may_wait_for_ever() -> None:
    assert load_settings(UNSET, {"send_timeout": float("inf")}, {}).send_timeout == float("inf")
