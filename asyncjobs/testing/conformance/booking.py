"""``Limits``: slots that a line books while another of its gates is full."""

from __future__ import annotations

from asyncjobs.core.limits import QueueLimit
from asyncjobs.core.turns import PATIENCE
from asyncjobs.testing.conformance.bench import Bench, ids
from asyncjobs.testing.conformance.lined import close_by, declare, figures_of, send_lined
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Booking"]


class Booking(Theme):
    """What claims promise of jobs that need slots of several gates."""

    async def _try_in_vain(self, bench: Bench, gate: str) -> None:
        """Let the line that waits for a gate with one slot find it full so often that it books slots of the others."""
        for _ in range(PATIENCE):
            await bench.claim()
            # Lets the line on, which finds the gate full again.
            await bench.broker.set_limit(bench.queue, gate, QueueLimit(2), "")
            await bench.broker.set_limit(bench.queue, gate, None, "")
        await bench.claim()

    async def test_a_line_that_was_emptied_keeps_no_slot_that_it_has_booked(self, bench: Bench) -> None:
        await declare(bench, a=1, z=1)
        await send_lined(bench, "z", ["z"])
        [holder] = (await bench.claim()).jobs
        [both] = await send_lined(bench, "x", ["a", "z"])
        await self._try_in_vain(bench, "z")
        assert (await figures_of(bench, "a")).booked == 1
        assert await bench.cancel(both) == "cancelled"
        [free] = await send_lined(bench, "y", ["a"])
        await bench.broker.prune([bench.queue], 10**9, 10**6)
        assert (await bench.claim_ids() or await bench.claim_ids()) == [free]
        assert await bench.settle([holder]) == [True]

    async def test_a_line_that_waits_for_an_earlier_gate_gives_back_what_it_has_booked(self, bench: Bench) -> None:
        await declare(bench, a=1, b=1, z=1)
        await send_lined(bench, gates=["z"])
        [holder] = (await bench.claim()).jobs
        await send_lined(bench, gates=["a", "b", "z"])
        await self._try_in_vain(bench, "z")
        assert [(await figures_of(bench, gate)).booked for gate in "ab"] == [1, 1]
        await send_lined(bench, gates=["a"])
        await send_lined(bench, gates=["a", "q"])
        assert await close_by(bench, holder, "a", 3_600_000)
        assert await bench.claim_ids(1) + await bench.claim_ids(1) == []
        [free] = await send_lined(bench, gates=["b"])
        assert await bench.claim_ids(1) + await bench.claim_ids(1) == [free]
        assert [(await figures_of(bench, gate)).booked for gate in "ab"] == [0, 0]

    async def test_a_line_that_finds_another_gate_full_lets_others_have_the_slot(self, bench: Bench) -> None:
        await declare(bench, a=1, b=1)
        running_a = await send_lined(bench, "1", ["a"])
        running_b = await send_lined(bench, "2", ["b"])
        claim = await bench.claim()
        assert ids(claim.jobs) == [*running_a, *running_b]
        [both] = await send_lined(bench, "3", ["a", "b"])
        [one] = await send_lined(bench, "4", ["a"])
        assert await bench.claim_ids() == []
        # The line that has waited first for gate a can't have the slot, since gate b is full.
        await bench.settle(claim.jobs[:1])
        found = [await bench.claim_ids(), await bench.claim_ids()]
        assert found[0] + found[1] == [one]
        await bench.settle(claim.jobs[1:])
        assert await bench.claim_ids() == []
        located = await bench.broker.locate(bench.queue, both)
        assert located is not None
        assert located.gate is not None
        assert located.gate.gate == "a"

    async def test_two_gates_that_are_never_free_at_once_starve_no_job(self, bench: Bench) -> None:
        await declare(bench, a=1, b=1)
        await send_lined(bench, "a", ["a"], count=30)
        await send_lined(bench, "b", ["b"], count=30)
        running = {job.id: job for job in (await bench.claim()).jobs}
        assert len(running) == 2
        [both] = await send_lined(bench, "c", ["a", "b"])
        for turn in range(20):
            # The two gates are free in turn.
            first = next(iter(running))
            await bench.settle([running.pop(first)])
            for _ in range(4):
                running.update((job.id, job) for job in (await bench.claim()).jobs)
            if both in running:
                break
            assert turn < 15
        assert both in running
        await bench.settle(list(running.values()))
        claim = await bench.claim()
        assert len(claim.jobs) == 2
        assert (await figures_of(bench, "a")).booked == (await figures_of(bench, "b")).booked == 0
