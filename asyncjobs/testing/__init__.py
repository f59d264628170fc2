"""For tests: a clock that the test moves, and the conformance suite for authors of brokers."""

from asyncjobs.testing.clock import ManualClock

__all__ = ["ManualClock"]
