"""The suite: all themes together."""

from __future__ import annotations

from asyncjobs.testing.conformance.auditing import Auditing
from asyncjobs.testing.conformance.booking import Booking
from asyncjobs.testing.conformance.bounds import Bounds
from asyncjobs.testing.conformance.claiming import Claiming
from asyncjobs.testing.conformance.editing import Editing
from asyncjobs.testing.conformance.events import Events
from asyncjobs.testing.conformance.gating import Gating
from asyncjobs.testing.conformance.grouping import Grouping
from asyncjobs.testing.conformance.holding import Holding
from asyncjobs.testing.conformance.intake import Intake
from asyncjobs.testing.conformance.leasing import Leasing
from asyncjobs.testing.conformance.limiting import Limiting
from asyncjobs.testing.conformance.lining import Lining
from asyncjobs.testing.conformance.operating import Operating
from asyncjobs.testing.conformance.paging import Paging
from asyncjobs.testing.conformance.pruning import Pruning
from asyncjobs.testing.conformance.rating import Rating
from asyncjobs.testing.conformance.schedules import Schedules
from asyncjobs.testing.conformance.searching import Searching
from asyncjobs.testing.conformance.series import Series
from asyncjobs.testing.conformance.settling import Settling
from asyncjobs.testing.conformance.stats import Stats
from asyncjobs.testing.conformance.suspects import Suspects
from asyncjobs.testing.conformance.tenants import Tenants
from asyncjobs.testing.conformance.turning import Turning
from asyncjobs.testing.conformance.undoing import Undoing
from asyncjobs.testing.conformance.uniqueness import Uniqueness
from asyncjobs.testing.conformance.waking import Waking

__all__ = ["BrokerConformance"]


class _Work(Claiming, Settling, Leasing, Waking, Pruning):
    """What ``ports.Work`` promises; ``emit`` is tested by ``Events``, and ``unpark`` by ``Holding``."""


class _Store(Paging, Searching, Operating, Editing, Holding, Grouping, Undoing):
    """What ``ports.JobStore`` promises."""


class _Stats(Stats, Series, Tenants):
    """What ``ports.JobStats`` promises."""


class _Limits(Limiting, Lining, Suspects, Gating, Booking, Rating, Turning):
    """What ``ports.Limits`` promises."""


class BrokerConformance(Intake, Uniqueness, Events, _Work, _Store, _Stats, Schedules, Auditing, _Limits, Bounds):
    """The tests of everything that a ``ports.Broker`` promises.

    Make a test class of pytest from it, with a fixture ``kit``: a ``BrokerKit`` whose broker is open and empty when a
    test begins.

    Example:
        ```python
        class TestMyBroker(BrokerConformance):
            @pytest.fixture
            async def kit(self) -> AsyncIterator[MyKit]:
                broker = MyBroker()
                await broker.open()
                yield MyKit(broker)
                await broker.close()
        ```
    """
