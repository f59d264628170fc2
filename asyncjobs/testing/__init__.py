"""For tests: the kit of an app, a clock that the test moves, and the conformance suite for authors of brokers."""

from asyncjobs.testing.attempts import Attempt, AttemptOutcome
from asyncjobs.testing.clock import ManualClock
from asyncjobs.testing.fake_job import FakeJob, fake_job
from asyncjobs.testing.kit import Kit
from asyncjobs.testing.sent import SentJob

__all__ = ["Attempt", "AttemptOutcome", "FakeJob", "Kit", "ManualClock", "SentJob", "fake_job"]
