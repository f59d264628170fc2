"""The SDK is found when it is there, also late, and is not asked for at each job when it isn't."""

from __future__ import annotations

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from asyncjobs.telemetry.providers import Late, is_real


def test_the_providers_of_the_api_do_nothing_and_those_of_the_sdk_do() -> None:
    for nothing in (trace.ProxyTracerProvider(), trace.NoOpTracerProvider(), metrics.NoOpMeterProvider()):
        assert not is_real(nothing)
    assert not is_real(metrics.get_meter_provider())
    for real in (TracerProvider(), MeterProvider()):
        assert is_real(real)
        real.shutdown()


def test_an_sdk_that_is_set_up_late_is_found_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("asyncjobs.telemetry.providers.time.monotonic", lambda: now)
    asked: list[float] = []
    there: list[trace.TracerProvider] = [trace.ProxyTracerProvider()]

    def find() -> trace.TracerProvider:
        asked.append(now)
        return there[0]

    late = Late(None, find, lambda provider: "made")
    assert [late.get() for _ in range(3)] == [None] * 3
    assert asked == [100.0]

    there[0] = TracerProvider()
    now = 100.2
    assert late.get() == "made"
    now = 200.0
    assert late.get() == "made"
    assert asked == [100.0, 100.2]


def test_a_given_provider_goes_before_the_global_one() -> None:
    given: trace.TracerProvider = TracerProvider()
    late = Late(given, trace.get_tracer_provider, lambda provider: "made")
    assert late.get() == "made"


def test_an_sdk_that_is_switched_off_adds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from asyncjobs.telemetry.tracing import _make_tracer

    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert _make_tracer(TracerProvider()) is None
