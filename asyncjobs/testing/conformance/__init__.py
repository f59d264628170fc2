"""What every broker promises, as tests.

To test a broker of your own, give the suite a kit of it::

    class TestMyBroker(BrokerConformance):
        @pytest.fixture
        async def kit(self):
            broker = MyBroker(...)
            await broker.open()
            yield MyKit(broker)
            await broker.close()

The tests are coroutines, run by anyio's pytest plugin. Each theme of the suite tests a part of one port, which the
first line of its module names. The tests assert what the docstrings of ``asyncjobs.ports`` say, and no more.
"""

from asyncjobs.testing.conformance.bench import Bench
from asyncjobs.testing.conformance.kit import BrokerKit
from asyncjobs.testing.conformance.suite import BrokerConformance

__all__ = ["Bench", "BrokerConformance", "BrokerKit"]
