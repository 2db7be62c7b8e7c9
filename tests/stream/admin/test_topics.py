"""Topics as an administrator sees them, with a real broker."""

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from detector.errors import DetectorError
from detector.stream.admin.topics import require_topics
from tests.helpers import wait_until


@pytest.fixture
def admin(kafka):
    opened = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    yield opened
    opened.close()


def test_require_topics_does_not_create_a_missing_topic(kafka, admin):
    """Otherwise a command would create a topic, and write to it, after a typing error in the topic's name."""
    missing, looked_up = f"{kafka.events_topic}-missing", f"{kafka.events_topic}-looked-up"

    with pytest.raises(DetectorError, match=f"topic {missing} does not exist; create it with: kafka-topics.sh"):
        require_topics(kafka, [kafka.events_topic, missing])

    # The broker would have created it (auto.create.topics.enable): it creates the next one that a client looks up.
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    try:
        producer.partitions_for(looked_up)
    finally:
        producer.close(timeout=5)
    wait_until(lambda: looked_up in admin.list_topics(), "the topic that was looked up")
    assert missing not in admin.list_topics()
