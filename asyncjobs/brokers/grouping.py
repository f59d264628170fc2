"""Splits a list by queue, and puts the answers of the queues together again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

__all__ = ["by_queue", "in_order"]


class _Queued(Protocol):
    @property
    def queue(self) -> str: ...


_Item = TypeVar("_Item", bound=_Queued)
_Answer = TypeVar("_Answer")


def by_queue(items: Sequence[_Item]) -> dict[str, Sequence[_Item]]:
    """Return ``items`` by queue, in order; in the common case of one queue, without a copy."""
    queues = {item.queue for item in items}
    if len(queues) <= 1:
        return dict.fromkeys(queues, items)
    groups: dict[str, list[_Item]] = {}
    for item in items:
        groups.setdefault(item.queue, []).append(item)
    return dict(groups)


def in_order(items: Sequence[_Queued], answers: Mapping[str, Sequence[_Answer]]) -> list[_Answer]:
    """Return the answers to the groups of ``by_queue``, one for each item, in the order of ``items``."""
    if len(answers) <= 1:
        return [answer for group in answers.values() for answer in group]
    left = {queue: iter(group) for queue, group in answers.items()}
    return [next(left[item.queue]) for item in items]
