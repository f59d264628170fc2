"""Which jobs of a queue a claim gets, where not simply the first of the ready ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from asyncjobs.brokers.company import Company
from asyncjobs.brokers.memory.entry import Entry
from asyncjobs.brokers.memory.parking import Parked
from asyncjobs.brokers.memory.places import Ready
from asyncjobs.brokers.memory.rounds import Choice, Round
from asyncjobs.core.retention import MAX_PASSED
from asyncjobs.core.turns import MAX_LINED_CLAIM
from asyncjobs.ports import Claimed, ClaimRequest, Hold

__all__ = ["choose"]


def choose(
    ready: Ready, parked: Parked, request: ClaimRequest, want: int, claimed: Sequence[Claimed], now_ms: int
) -> Choice:
    """Choose up to ``want`` jobs for a claim that has got ``claimed`` from other queues."""
    company = Company(request)
    for one in claimed:
        company.join(one.tries)
    asked = want
    if ready.lined.count:
        want = min(want, MAX_LINED_CLAIM)
    own, has_rest = _choose_parked(ready, parked, request, want, company)
    want -= len(own)
    if ready.lined.count:
        free = request.limit - request.ahead - len(claimed) - len(own)
        hold_of = partial(parked.hold_of, known=request.names)
        choice = Round(ready.lined, company, hold_of, want, free, now_ms).choose(
            ready.lines, lowest_first=request.lowest_first
        )
        is_cut = choice.is_cut or want == len(choice.taken) < asked - len(own)
        return choice._replace(own=own, has_rest=has_rest, is_cut=is_cut)
    taken: list[Entry] = []
    to_park: list[tuple[Entry, Hold]] = []
    waiting = 0
    for entry in ready.first(want + MAX_PASSED, lowest_first=request.lowest_first):
        if len(taken) == want:
            break
        if entry.tries and company.must_wait(entry.tries):
            waiting += 1
        elif hold := parked.hold_of(entry, request.names):
            to_park.append((entry, hold))
        else:
            company.join(entry.tries)
            taken.append(entry)
    left = sum(map(len, ready.lines)) - len(taken) - len(to_park)
    # If the rest waits for others of its kind to end, nobody needs be woken.
    is_done = waiting > 0 and (left <= waiting or not (taken or own or to_park))
    return Choice(taken, own, to_park, is_done, has_rest)


def _choose_parked(
    ready: Ready, parked: Parked, request: ClaimRequest, want: int, company: Company
) -> tuple[list[Entry], bool]:
    """Return parked jobs, as many as there is room for behind the ready ones before them, and whether more are left.

    They are leased from where they are: made ready, they could be parked again by a worker that doesn't know them.
    """
    ahead, count = [0, 0, 0, 0], 0
    for priority in (3, 2, 1, 0) if request.lowest_first else (0, 1, 2, 3):
        ahead[priority] = count
        count += len(ready.lines[priority])
    found: list[Entry] = []
    has_rest = False
    for hold, line in sorted(parked.lines.items(), key=lambda one: one[0]):
        if hold in parked.holds:
            continue
        before = len(found)
        for entry in line if parked.is_startable(hold, request.names) else ():
            is_behind = ahead[entry.priority] + len(found) >= want
            # One with a line key may have to wait for a gate: ``unpark`` brings it back to its line.
            if is_behind or entry.line or company.must_wait(entry.tries) or parked.hold_of(entry, request.names):
                break
            company.join(entry.tries)
            found.append(entry)
        has_rest = has_rest or len(line) > len(found) - before
    return found, has_rest
