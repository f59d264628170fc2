"""A deterministic simulation: the product's own steps, interleaved by a seed, with workers killed and replies dropped.

Claimer, executor, settler, heartbeat and maintenance are those of the product; only the loops around them are replaced
by a scheduler that draws the next step. Time is the broker's, moved by hand. The same seed gives the same run.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from asyncjobs import App, Limit, Rate, RetryPolicy, current_job
from asyncjobs.core.limits import QueueLimit, QueueRules
from asyncjobs.core.lines import gates_in
from asyncjobs.core.settlement import Settlement
from asyncjobs.core.states import JobState
from asyncjobs.errors import BrokerUnavailable
from asyncjobs.ports import Broker, Claim, ClaimRequest, Clock, Extension, Lease, LeaseKeeper, Recovery
from asyncjobs.worker.broker_clock import BrokerClock
from asyncjobs.worker.claimer import Claimer
from asyncjobs.worker.execution.executor import Executor
from asyncjobs.worker.leases import Leases
from asyncjobs.worker.liveness.heartbeat import Heartbeat
from asyncjobs.worker.maintenance import Maintenance
from asyncjobs.worker.queue_order import QueueOrder
from asyncjobs.worker.settler import Settler
from asyncjobs.worker.suspects import Suspects
from tests.apps import broker_of, host_of

__all__ = ["Simulation", "SimulationKit"]

LEASE_MS = 10_000
MAX_DEATHS = 4
QUEUE = "bench"
#: The rules that two versions of a program declare.
VERSIONS = [
    {"all": QueueLimit(4), "number": QueueLimit(1)},
    {"all": QueueLimit(2), "number": QueueLimit(2), "rate": QueueLimit(rate=Rate(1, per=4, burst=2))},
]


class SimulationKit(Protocol):
    """A broker, a hand on its clock, and a look into its store."""

    @property
    def broker(self) -> Broker: ...

    async def advance(self, milliseconds: int) -> None: ...

    def lose_commands(self, lose: Callable[[], bool]) -> None: ...

    async def places(self, queue: str) -> Counter[str]: ...

    async def orphans(self, queue: str) -> list[str]: ...

    async def faults_of_lines(self, queue: str) -> list[str]: ...


class FaultyBroker:
    """Passes a broker's verbs on; sometimes the request is lost, sometimes the reply."""

    def __init__(self, broker: Broker, chance: random.Random) -> None:
        self._broker = broker
        self._chance = chance
        self.share = 0.0
        self.settled: Counter[str] = Counter()
        self.fences: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)

    def _lose(self) -> bool:
        return self._chance.random() < self.share

    async def claim(self, request: ClaimRequest) -> Claim:
        if self._lose():
            raise BrokerUnavailable("the request was lost")
        claim = await self._broker.claim(request)
        self.fences.update({claimed.id: claimed.fence for claimed in claim.jobs})
        if self._lose():
            raise BrokerUnavailable("the reply was lost")
        return claim

    async def settle(self, settlements: list[Settlement]) -> list[bool]:
        if self._lose():
            raise BrokerUnavailable("the request was lost")
        replies = await self._broker.settle(settlements)
        for settlement, done in zip(settlements, replies, strict=True):
            if done:
                latest = self.fences[settlement.id]
                assert settlement.fence == latest, f"{settlement.id}: settled under {settlement.fence}, not {latest}"
                self.settled[settlement.id] += bool(settlement.body)
        if self._lose():
            raise BrokerUnavailable("the reply was lost")
        return replies

    async def recover(self, queues: list[str], lease_ms: int, max_deaths: int) -> Recovery:
        recovery = await self._broker.recover(queues, lease_ms, max_deaths)
        if self._lose():
            raise BrokerUnavailable("the reply was lost")
        return recovery

    def lease_keeper(self) -> LeaseKeeper:
        return FaultyKeeper(self._broker.lease_keeper(), self)


class FaultyKeeper:
    def __init__(self, keeper: LeaseKeeper, broker: FaultyBroker) -> None:
        self._keeper = keeper
        self._broker = broker

    def extend(self, leases: list[Lease], lease_ms: int) -> Extension:
        if self._broker._lose():
            raise BrokerUnavailable("the request was lost")
        return self._keeper.extend(leases, lease_ms)

    def close(self) -> None:
        self._keeper.close()


class NoWatchdog:
    """The loop of a simulation is never blocked."""

    silence_s = 0.0

    def step(self) -> None: ...


class SimulatedWorker:
    """One worker's duties, without the loops that drive them."""

    def __init__(self, app: App, clock: Clock, number: int, chance: random.Random) -> None:
        leases = Leases()
        broker_clock = BrokerClock(clock)
        self.settler = Settler(broker_of(app), leases)
        concurrency = chance.randint(1, 4)
        self.executor = Executor(
            host_of(app), broker_clock, self.settler, leases, concurrency=concurrency, chance=chance.random
        )
        self.claimer = Claimer(
            broker_of(app),
            self.executor,
            QueueOrder([QUEUE], chance=chance.random),
            broker_clock,
            worker_id=f"worker-{number}",
            numbers=itertools.count(1),
            lease_ms=LEASE_MS,
            poll_interval=1.0,
            timer_interval=None,
            suspects=Suspects(leases, concurrency=concurrency, max_deaths=MAX_DEATHS),
        )
        self.maintenance = Maintenance(
            broker_of(app),
            queues=[QUEUE],
            lease_ms=LEASE_MS,
            max_deaths=MAX_DEATHS,
            dead_ttl_ms=10**12,
            max_dead=10**6,
        )
        self.keeper = broker_of(app).lease_keeper()
        self.heartbeat = Heartbeat(
            self.keeper,
            leases,
            NoWatchdog(),  # type: ignore[arg-type]
            self.executor.apply,
            monotonic=clock.monotonic,
            lease_ms=LEASE_MS,
            blocked_limit=10**9,
        )
        self.claims_ahead = chance.choice([0, 0, 2])

    def kill(self) -> None:
        """Be gone, with whatever was under way: nothing of it reaches the broker any more."""
        for run in list(self.executor._running.values()):
            assert run.task is not None
            run.task.cancel()
        self.executor._canceller.close()
        self.keeper.close()


class Simulation:
    """One run, by its seed: that of every second seed with limits and turns."""

    def __init__(self, seed: int, kit: SimulationKit, clock: Clock, *, steps: int = 60) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.kit = kit
        self.clock = clock
        self.steps = steps
        self.broker = FaultyBroker(kit.broker, self.chance)
        self.app = App("memory://", broker=self.broker)  # type: ignore[arg-type]
        self.workers: list[SimulatedWorker] = []
        self.numbers = itertools.count(1)
        self.gates: dict[str, asyncio.Event] = {}
        self.accepted: dict[str, bool] = {}
        self.cancelled: set[str] = set()
        self.fences: dict[tuple[int, str], str] = {}
        self.log: list[str] = []
        self.has_limits = seed % 2 == 1
        # How many jobs may run through each gate: as many as its limit says, or as ran when that was lowered.
        self.most: dict[str, int] = {}
        limits = [Limit("all", running=9), Limit("number", running=9).by("number"), Limit("rate", running=9)]
        if self.has_limits:
            self.app.queue(QUEUE, fair_by="number")

        @self.app.job(
            queue=QUEUE, retry=RetryPolicy(max_retries=2, initial=5), limits=limits if self.has_limits else ()
        )
        async def work(number: int) -> int:
            job = current_job()
            gate = self.gates.setdefault(f"{job.id}:{job.attempt}", asyncio.Event())
            await gate.wait()
            if self.chance.random() < 0.2:
                raise ValueError("by chance")
            return number

        self.work = work

    async def run(self) -> None:
        """Take the steps, then let everything end, checking after each; raise ``AssertionError`` with the story."""
        async with self.app:
            if self.has_limits:
                await self._deploy()
            self.kit.lose_commands(self.broker._lose)
            try:
                for _ in range(self.steps):
                    await self._step()
                    await self._rest()
                    await self._check()
                await self._finish()
            except AssertionError as error:
                story = "\n".join(self.log[-80:])
                raise AssertionError(f"seed {self.seed}: {error}\n{story}") from error
            finally:
                for worker in self.workers:
                    worker.kill()
                await self._rest()

    async def _rest(self) -> None:
        """Let every task that can go on do so."""
        for _ in range(6):
            await asyncio.sleep(0)

    # -- steps

    async def _step(self) -> None:
        self.broker.share = self.chance.choice([0.0, 0.0, 0.2])
        steps = [self._send, self._send, self._start, self._kill, self._advance, self._cancel]
        if self.workers:
            steps += [self._claim, self._claim, self._claim, self._settle, self._settle]
            steps += [self._beat, self._beat, self._recover, self._release, self._release, self._give_back]
        if self.has_limits:
            steps += [self._deploy]
        step = self.chance.choice(steps)
        try:
            await step()
        except BrokerUnavailable as error:
            self.log.append(f"  {error}")
        finally:
            # What looks into the store to check it must not be lost.
            self.broker.share = 0.0

    def _say(self, text: str) -> None:
        self.log.append(text)

    def _any(self) -> SimulatedWorker:
        return self.chance.choice(self.workers)

    async def _send(self) -> None:
        priority = self.chance.choice(["critical", "high", "normal", "low"])
        acks = self.chance.choice(["late"] * 5 + ["early"])
        job_id = f"job-{len(self.accepted):03}"
        call = self.work.with_options(job_id=job_id, priority=priority, acks=acks)  # type: ignore[arg-type]
        handle = await call.delay(len(self.accepted) % 3)
        self.accepted[handle.id] = True
        self._say(f"send {handle.id}")

    async def _start(self) -> None:
        if len(self.workers) < 4:
            self.workers.append(SimulatedWorker(self.app, self.clock, next(self.numbers), self.chance))
            self._say(f"start {self.workers[-1].claimer.worker_id}")

    async def _kill(self) -> None:
        if len(self.workers) > 1 and self.chance.random() < 0.5:
            worker = self._any()
            self.workers.remove(worker)
            worker.kill()
            self._say(f"kill {worker.claimer.worker_id}")

    async def _advance(self) -> None:
        # Now and then the server's clock is set back.
        milliseconds = self.chance.choice([10, 1_000, 3_000, 6_000, 12_000] * 4 + [-300_000])
        await self.kit.advance(milliseconds)
        self._say(f"advance {milliseconds}")

    async def _cancel(self) -> None:
        if self.accepted:
            job_id = self.chance.choice(list(self.accepted))
            reply = await self.app.cancel_job(job_id, queue=QUEUE)
            self._say(f"cancel {job_id}: {reply}")

    async def _deploy(self) -> None:
        """Start a worker of another version, which declares other limits."""
        rules = self.chance.choice(VERSIONS)
        await self.kit.broker.declare_rules(QUEUE, QueueRules(gates=rules))
        self._say(f"declare {rules}")

    async def _claim(self) -> None:
        worker = self._any()
        limit = max(0, worker.claimer.room + worker.claims_ahead)
        self._say(f"claim by {worker.claimer.worker_id}, {limit}")
        claim = await worker.claimer.step(limit)
        for claimed in claim.jobs:
            key = claimed.fence, claimed.id
            assert self.fences.setdefault(key, worker.claimer.worker_id) == worker.claimer.worker_id, f"fence {key}"
            self._say(f"  got {claimed.id} under {claimed.fence}")

    async def _settle(self) -> None:
        worker = self._any()
        self._say(f"settle by {worker.claimer.worker_id}")
        await worker.settler.step()

    async def _beat(self) -> None:
        worker = self._any()
        self._say(f"heartbeat of {worker.claimer.worker_id}")
        worker.heartbeat.step()

    async def _recover(self) -> None:
        await self._any().maintenance.recover()
        self._say("recover")

    async def _release(self) -> None:
        """Let some handlers go on."""
        for gate in list(self.gates.values()):
            if self.chance.random() < 0.5:
                gate.set()

    async def _give_back(self) -> None:
        self._any().executor.give_back()

    # -- what must hold

    async def _check(self) -> None:
        places = await self.kit.places(QUEUE)
        assert all(number == 1 for number in places.values()), f"in more than one place: {places}"
        assert await self.kit.orphans(QUEUE) == [], "something is kept for nobody"
        doubled = [job_id for job_id, number in self.broker.settled.items() if number > 1]
        assert doubled == [], f"ended twice: {doubled}"

        if self.has_limits:
            await self._check_gates()

    async def _check_gates(self) -> None:
        """As many slots are taken as jobs run, and no more than there are."""
        page = await self.kit.broker.page(QUEUE, "running", "", 1_000)
        found = [await self.kit.broker.locate(QUEUE, job.id) for job in page.jobs]
        used = Counter(gate for one in found if one is not None for gate in gates_in(one.line))
        gates = {gate.gate: gate for gate in await self.kit.broker.gates(QUEUE, 1_000)}
        assert all(gates[gate].running == count for gate, count in used.items()), f"{used} run, not {gates}"
        assert sum(used[gate] for gate in used if "=" in gate) == (gates["number"].running if "number" in gates else 0)
        for gate, count in used.items():
            limit = gates[gate].limit.running
            assert limit is None or count <= max(limit, self.most.get(gate, 0)), f"{count} run through {gate}"
        self.most = used
        assert await self.kit.faults_of_lines(QUEUE) == []

    async def _finish(self) -> None:
        """Without further faults everything that was accepted ends."""
        self.broker.share = 0.0
        self._say("no more faults")
        for worker in self.workers[1:]:
            worker.kill()
        del self.workers[1:]
        await self._start()
        worker = self.workers[0]
        for _ in range(400):
            for gate in self.gates.values():
                gate.set()
            await self._rest()
            await worker.settler.flush()
            await self.kit.advance(2_000)
            await worker.maintenance.recover()
            worker.heartbeat.step()
            await worker.claimer.step(max(0, worker.claimer.room))
            await self._rest()
            await self._check()
            if not [job_id for job_id in self.accepted if await self._lives(job_id)]:
                break
        living = [job_id for job_id in self.accepted if await self._lives(job_id)]
        assert living == [], f"never ended: {living}"
        [figures] = await self.kit.broker.overview([QUEUE])
        ends = figures.succeeded + figures.failed + figures.cancelled
        assert ends == len(self.accepted), f"{len(self.accepted)} accepted, {ends} ended"

    async def _lives(self, job_id: str) -> bool:
        job = await self.kit.broker.find(QUEUE, job_id)
        # The record of an ended job may have expired in the time that passed.
        return job is not None and job.state not in (JobState.COMPLETED, JobState.CANCELLED, JobState.FAILED)
