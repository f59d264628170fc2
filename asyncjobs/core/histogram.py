"""Duration histograms that merge, and the figures drawn from them.

A DDSketch (Masson, Rim, Lee, VLDB 2019): bucket ``i`` holds the durations in ``(g**(i-1), g**i]`` microseconds, so a
percentile is wrong by at most ``(g - 1) / (g + 1)`` of itself, 5 % here, and two histograms merge by adding counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

__all__ = ["add_to", "bucket_of", "mean_ms", "percentile_ms"]

_GROWTH = 1.1
_LOG_GROWTH = math.log(_GROWTH)


def bucket_of(duration_us: int) -> int:
    """Return the bucket of a duration in microseconds; everything up to one microsecond is bucket 0."""
    return math.ceil(math.log(duration_us) / _LOG_GROWTH) if duration_us > 1 else 0


def add_to(total: dict[int, int], histogram: Mapping[int, int]) -> None:
    """Add a histogram to ``total``."""
    get = total.get
    for bucket, count in histogram.items():
        total[bucket] = get(bucket, 0) + count


def percentile_ms(histogram: Mapping[int, int], share: float) -> float | None:
    """Return the duration in milliseconds that ``share`` (0 to 1) of the jobs did not exceed, ``None`` without jobs."""
    total = sum(histogram.values())
    if not total:
        return None
    rank = share * (total - 1)
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen > rank:
            return 2 * _GROWTH**bucket / (_GROWTH + 1) / 1000
    raise AssertionError("unreachable: the counts add up to the total")


def mean_ms(total_us: int, count: int) -> float | None:
    """Return the mean duration in milliseconds of ``count`` jobs that took ``total_us`` microseconds together."""
    return total_us / count / 1000 if count else None
