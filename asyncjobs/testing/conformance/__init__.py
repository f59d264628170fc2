"""What every broker promises, as tests. To test one of your own, subclass and give a ``kit``::

    class TestMyBroker(BrokerConformance):
        @pytest.fixture
        async def kit(self):
            ...
            yield MyKit(broker)

The tests are coroutines, run by anyio's pytest plugin.
"""

from asyncjobs.testing.conformance.kit import Bench, BrokerKit
from asyncjobs.testing.conformance.suite import BrokerConformance

__all__ = ["Bench", "BrokerConformance", "BrokerKit"]
