"""The rules for what keeps the jobs."""

from __future__ import annotations

from collections.abc import Iterator

from asyncjobs.app.triage.finding import Facts, Finding, FindingKind, span
from asyncjobs.brokers.redis.roles import roles_of
from asyncjobs.ports import ServerNode

__all__ = ["of_server"]


def of_server(facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with the server, or with the primaries of a Cluster."""
    if facts.server is None or facts.server.kind == "memory":
        return
    for node in facts.server.nodes:
        yield from _memory(node, facts)
        yield from _safety(node, facts)


def _finding(node: ServerNode, kind: FindingKind, sentence: str, *, is_bad: bool = False) -> Finding:
    return Finding(
        kind=kind,
        level="bad" if is_bad else "warn",
        queue="",
        subject=node.address,
        sentence=f"Redis at {node.address}: {sentence}",
        evidence="server",
    )


def _memory(node: ServerNode, facts: Facts) -> Iterator[Finding]:
    evicts = node.policy != "noeviction"
    share = node.memory / node.max_memory if node.max_memory else 0.0
    if share >= facts.limits.memory:
        end = f"with the policy {node.policy}, JOBS CAN BE LOST" if evicts else "when it is full, nothing can be sent"
        yield _finding(node, "memory", f"memory {share:.0%} of maxmemory; {end}", is_bad=True)
    elif evicts and node.max_memory:
        yield _finding(
            node,
            "eviction",
            f"the policy {node.policy} throws keys away when memory is full, and jobs with them; set maxmemory-policy "
            "noeviction",
            is_bad=True,
        )


def _safety(node: ServerNode, facts: Facts) -> Iterator[Finding]:
    if node.persistence_failed:
        yield _finding(node, "persistence", "it failed to write its data to the disk the last time", is_bad=True)
    elif not node.persistence:
        yield _finding(node, "persistence", "it writes nothing to a disk: all jobs are gone after a restart")
    if node.replicas_lagging:
        yield _finding(node, "replica", _lagging(node))
    if abs(node.clock_skew_ms) >= facts.limits.clock_ms:
        side = "ahead of" if node.clock_skew_ms > 0 else "behind"
        yield _finding(node, "clock", f"its clock is {span(abs(node.clock_skew_ms) / 1000)} {side} the one here")
    if node.refused and not roles_of(node.refused):
        refused = ", ".join(node.refused)
        yield _finding(node, "refused command", f"its user may not call {refused}, which asyncjobs needs", is_bad=True)


def _lagging(node: ServerNode) -> str:
    """Return how many replicas do not follow, in words."""
    if node.replicas == 1:
        return "its replica does not follow"
    verb = "does" if node.replicas_lagging == 1 else "do"
    return f"{node.replicas_lagging} of {node.replicas} replicas {verb} not follow"
