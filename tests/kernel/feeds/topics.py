"""A Kafka for tests: librdkafka's own mock of a cluster, which lives as long as this object."""

from confluent_kafka import Producer


class MockKafka:
    def __init__(self) -> None:
        self._cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        brokers = self._cluster.list_topics(timeout=10).brokers.values()
        self.url = f"kafka://{','.join(f'{one.host}:{one.port}' for one in brokers)}"
