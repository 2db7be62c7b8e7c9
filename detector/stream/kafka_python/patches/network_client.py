"""Connections that do not create topics, and that receive large pieces.

Symptom: the consumer and producer option `allow_auto_create_topics` has no effect. A metadata request for a topic that
does not exist creates it, so a typing error in a setting creates a topic.
Upstream: `kafka.consumer.group.KafkaConsumer.__init__` and `kafka.producer.kafka.KafkaProducer.__init__` in 3.0.12
do not pass the option on to `kafka.cluster.ClusterMetadata`, which has it.
Can go when: the option works. `large_receives` is a patch of its own.
"""

from typing import Any

from kafka.net.compat import KafkaNetClient

from detector.stream.kafka_python.patches.large_receives import receive_in_large_pieces


def network_client(**config: Any) -> KafkaNetClient:
    """Make the network client of a consumer or producer: kafka-python's option `kafka_client`."""
    client = KafkaNetClient(**config)
    client.cluster.config["allow_auto_create_topics"] = False
    receive_in_large_pieces(client)
    return client
