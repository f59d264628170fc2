"""The verbs of an app, all groups side by side."""

from __future__ import annotations

from asyncjobs.app.verbs.by_name import ByNameVerbs
from asyncjobs.app.verbs.dead import DeadVerbs
from asyncjobs.app.verbs.figures import FigureVerbs
from asyncjobs.app.verbs.holds import HoldVerbs
from asyncjobs.app.verbs.jobs import JobVerbs
from asyncjobs.app.verbs.limits import LimitVerbs
from asyncjobs.app.verbs.operations import OperationVerbs
from asyncjobs.app.verbs.problems import ProblemVerbs
from asyncjobs.app.verbs.schedules import ScheduleVerbs
from asyncjobs.app.verbs.search import SearchVerbs
from asyncjobs.app.verbs.series import SeriesVerbs
from asyncjobs.app.verbs.sweeping import SweepVerbs
from asyncjobs.app.verbs.tenants import TenantVerbs

__all__ = ["AllVerbs"]


class AllVerbs(
    ProblemVerbs,
    JobVerbs,
    DeadVerbs,
    HoldVerbs,
    LimitVerbs,
    FigureVerbs,
    SeriesVerbs,
    ScheduleVerbs,
    SearchVerbs,
    SweepVerbs,
    TenantVerbs,
    OperationVerbs,
    ByNameVerbs,
):
    """The methods that ``App`` inherits, and that ``app.sync`` has blocking counterparts of."""
