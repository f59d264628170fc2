"""What the author of a broker gives to the suite."""

from __future__ import annotations

from typing import Protocol

from asyncjobs.ports import Broker

__all__ = ["BrokerKit"]


class BrokerKit(Protocol):
    """A broker under test, and control of its clock: what the author of a broker gives to the suite.

    Example:
        ```python
        class MyKit:
            def __init__(self, broker: MyBroker) -> None:
                self.broker = broker

            async def advance(self, milliseconds: int) -> None:
                self.broker.clock.advance(milliseconds)
        ```
    """

    @property
    def broker(self) -> Broker:
        """The broker, open and empty when a test begins."""
        ...

    async def advance(self, milliseconds: int) -> None:
        """Move the broker's time forward in every queue, for due times, leases and expiry alike.

        Args:
            milliseconds: By how much, above 0; up to 30 days.
        """
        ...
