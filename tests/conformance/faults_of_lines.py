"""What must be true of lines, turns and gates as our own brokers keep them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from asyncjobs.brokers.memory.queue import Queue
from asyncjobs.brokers.redis.keys import QueueKeys
from asyncjobs.core.lines import gates_in, group_in

__all__ = ["faults_in", "faults_of", "remains_in", "remains_of"]


def faults_of(queue: Queue) -> list[str]:
    """Return what is wrong in memory, in words."""
    return list(_faults(queue))


def remains_of(queue: Queue) -> list[str]:
    """Return what is kept in memory of lines, turns and gates, without what is set and declared."""
    lined, gates = queue.lined, queue.lined.gates
    kept = {
        "lines": lined.count,
        "waiting": lined.waiting,
        "opens": list(lined.opens),
        "holders": gates.holders,
        "booked": gates.booked,
        "used": gates._used_until_ms,
        "closed": gates._closed,
        "tags": [turns.tags for turns in lined.turns if turns.tags],
    }
    return [name for name, what in kept.items() if what]


def _faults(queue: Queue) -> Iterator[str]:
    lined, gates, turns = queue.lined, queue.lined.gates, queue.lined.turns
    lines = {(line.priority, line.key): line for by_key in lined._by_key for line in by_key.values()}
    waiting = [line for _, heap in lined.waiting.items() for _, _, line in heap]
    in_turn = [line for one in turns for rotation in one._rotations.values() for line in rotation.values()]
    if sorted(lines) != sorted((line.priority, line.key) for line in [*waiting, *in_turn]):
        yield "a line is in no place, or in two"
    if any(bool(line.gate) for line in in_turn) or not all(line.gate in line.gates for line in waiting):
        yield "a line is elsewhere than it says"
    if lined.in_turn != len(in_turn) or lined.count != len(lines):
        yield "lines are counted wrongly"
    sizes = [sum(len(line) for line in lines.values() if line.priority == priority) for priority in range(4)]
    if sizes != lined.sizes:
        yield "jobs in lines are counted wrongly"
    holders = {(gate, entry.id) for entry in queue.running for gate in gates_in(entry.line)}
    if holders != {(gate, job_id) for gate, ids in gates.holders.items() for job_id in ids}:
        yield "other jobs hold slots than run"
    if not all(gates.holders.values()):
        yield "a gate without holders is kept"
    booked = {id(line) for line in gates.booked.values()}
    if not booked <= {id(line) for line in lines.values()}:
        yield "a line that is gone has booked a slot"
    if any(gates.booked.get(gate) is line for line in waiting for gate in line.gates[line.gates.index(line.gate) :]):
        yield "a line waits for a slot that comes before one that it has booked"
    yield from _lost_wake_ups(queue)


def _lost_wake_ups(queue: Queue) -> Iterator[str]:
    """Yield each gate with room for which lines wait although no line that needs it is in turn."""
    lined = queue.lined
    for gate, heap in lined.waiting.items():
        limit, opens = lined.gates.limit_of(gate), gate in set(lined.opens)
        use = len(lined.gates.holders.get(gate, ())) + (gate in lined.gates.booked)
        has_room = limit.running is None or use < limit.running
        in_turn = any(
            gate in line.gates
            for turns in lined.turns
            for rotation in turns._rotations.values()
            for line in rotation.values()
        )
        if heap and has_room and not (opens or in_turn):
            yield f"{len(heap)} lines wait for {gate}, which has room"


def faults_in(client: Any, keys: QueueKeys) -> Iterator[str]:
    """Yield what is wrong on Redis, in words."""
    states = _hash(client, keys, "lines")
    lists = {key.decode().removeprefix(keys.of("line", "")) for key in client.scan_iter(match=keys.of("line", "*"))}
    if not lists <= states.keys():
        yield f"lines are not listed: {lists - states.keys()}"
    in_turn = []
    for priority in range(4):
        for one in client.zrange(keys.of("flow", f"turns:{priority}"), 0, -1):
            group = one.decode()
            # A group's only line may stand for itself.
            rotation = client.lrange(keys.of("turn", f"{priority}:{group}"), 0, -1) or [one]
            in_turn += [f"{priority}:{key.decode()}" for key in rotation]
            if any(group_in(key.decode()) != group for key in rotation):
                yield f"a line is in the turn of {group}"
    if sorted(in_turn) != sorted(field for field, state in states.items() if state == "r"):
        yield f"other lines are in turn than say so: {sorted(in_turn)}"
    waiting = []
    for key in client.scan_iter(match=keys.of("wait", "*")):
        gate = key.decode().removeprefix(keys.of("wait", ""))
        waiting += [(one.decode(), f"w{gate}") for one in client.zrange(key, 0, -1)]
    if sorted(waiting) != sorted((field, state) for field, state in states.items() if state != "r"):
        yield f"other lines wait than say so: {sorted(waiting)}"
    cfg = {field.decode(): value for field, value in client.hgetall(keys.cfg).items()}
    for priority in range(4):
        own = [(field, state) for field, state in states.items() if field.startswith(f"{priority}:")]
        if int(cfg.get(f"waits:{priority}", 0)) != sum(state != "r" for _, state in own):
            yield f"lines of priority {priority} that wait are counted wrongly"
        size = sum(client.llen(keys.of("line", field)) for field, _ in own) - _gone(client, keys, priority)
        if int(cfg.get(f"lined:{priority}", 0)) != size:
            yield f"{size} jobs of priority {priority} are in lines, not {cfg.get(f'lined:{priority}')}"
    yield from _faults_of_slots(client, keys, states)


def _faults_of_slots(client: Any, keys: QueueKeys, states: dict[str, str]) -> Iterator[str]:
    slots, booked = _hash(client, keys, "slots"), _hash(client, keys, "booked")
    leased = {member.decode() for member in client.zrange(keys.leased, 0, -1)}
    if not slots.keys() <= leased:
        yield f"slots are held without a lease: {slots.keys() - leased}"
    if not set(booked.values()) <= states.keys():
        yield "a line that is gone has booked a slot"
    for gate, field in booked.items():
        full, gates = states.get(field, "")[1:], gates_in(field)
        if full in gates and gate in gates[gates.index(full) :]:
            yield "a line waits for a slot that comes before one that it has booked"
    use = Counter([*(gate for key in slots.values() for gate in gates_in(key)), *booked])
    if {gate: str(count) for gate, count in use.items()} != _hash(client, keys, "use"):
        yield f"slots are counted wrongly: {use}"


def remains_in(client: Any, keys: QueueKeys) -> Iterator[str]:
    """Yield what is kept on Redis of lines, turns and gates, without what is set and declared."""
    kept = {keys.of("flow", name) for name in ("limits", "weights")}
    for family in ("flow", "line", "turn", "wait"):
        for key in client.scan_iter(match=keys.of(family, "*")):
            if key.decode() not in kept:
                yield key.decode()


def _hash(client: Any, keys: QueueKeys, name: str) -> dict[str, str]:
    return {field.decode(): value.decode() for field, value in client.hgetall(keys.of("flow", name)).items()}


def _gone(client: Any, keys: QueueKeys, priority: int) -> int:
    """Return how many entries of lines of a priority don't count."""
    found = client.hgetall(keys.gone).items()
    return sum(abs(int(number)) for field, number in found if f" line:{priority}:".encode() in field)
