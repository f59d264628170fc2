"""The broker in one process: nothing to start, nothing kept after the process ends."""

from asyncjobs.brokers.memory.broker import MemoryBroker

__all__ = ["MemoryBroker"]
