"""The broker on Redis."""

from __future__ import annotations

from asyncjobs.brokers.redis.intake import RedisIntake
from asyncjobs.brokers.redis.limits import RedisLimits
from asyncjobs.brokers.redis.operations import RedisOperations
from asyncjobs.brokers.redis.schedules import RedisSchedules
from asyncjobs.brokers.redis.series import RedisSeries
from asyncjobs.brokers.redis.stats import RedisStats
from asyncjobs.brokers.redis.store import RedisStore
from asyncjobs.brokers.redis.work import RedisWork

__all__ = ["RedisBroker"]


class RedisBroker(
    RedisIntake, RedisWork, RedisStore, RedisStats, RedisSeries, RedisSchedules, RedisOperations, RedisLimits
):
    """A ``ports.Broker`` on Redis or Valkey, alone, behind Sentinel or as a Cluster."""
