"""The suite: all themes together."""

from __future__ import annotations

from asyncjobs.testing.conformance.claiming import Claiming
from asyncjobs.testing.conformance.editing import Editing
from asyncjobs.testing.conformance.events import Events
from asyncjobs.testing.conformance.holding import Holding
from asyncjobs.testing.conformance.intake import Intake
from asyncjobs.testing.conformance.leasing import Leasing
from asyncjobs.testing.conformance.operating import Operating
from asyncjobs.testing.conformance.paging import Paging
from asyncjobs.testing.conformance.pruning import Pruning
from asyncjobs.testing.conformance.schedules import Schedules
from asyncjobs.testing.conformance.settling import Settling
from asyncjobs.testing.conformance.stats import Stats
from asyncjobs.testing.conformance.tenants import Tenants
from asyncjobs.testing.conformance.waking import Waking

__all__ = ["BrokerConformance"]


class _Work(Claiming, Settling, Leasing, Waking, Pruning):
    """What ``ports.Work`` promises, beside ``emit`` and ``unpark``, which stand with the verbs that they belong to."""


class _Store(Paging, Operating, Editing, Holding):
    """What ``ports.JobStore`` promises."""


class _Stats(Stats, Tenants):
    """What ``ports.JobStats`` promises."""


class BrokerConformance(Intake, Events, _Work, _Store, _Stats, Schedules):
    """Everything that a ``ports.Broker`` promises.

    A subclass is a test class of pytest. It gives the fixture ``kit``: a ``BrokerKit`` whose broker is open and empty
    when a test begins.
    """
