"""The suite: all themes together."""

from __future__ import annotations

from asyncjobs.testing.conformance.burying import Burying
from asyncjobs.testing.conformance.claiming import Claiming
from asyncjobs.testing.conformance.ending import Ending
from asyncjobs.testing.conformance.following import Following
from asyncjobs.testing.conformance.leasing import Leasing
from asyncjobs.testing.conformance.looking import Looking
from asyncjobs.testing.conformance.scheduling import Scheduling
from asyncjobs.testing.conformance.sending import Sending
from asyncjobs.testing.conformance.steering import Steering
from asyncjobs.testing.conformance.tenants import Tenants
from asyncjobs.testing.conformance.waking import Waking

__all__ = ["BrokerConformance"]


class BrokerConformance(
    Sending, Claiming, Leasing, Ending, Burying, Steering, Tenants, Following, Scheduling, Waking, Looking
):
    """Everything that a ``ports.Broker`` promises; a subclass gives the fixture ``kit``."""
