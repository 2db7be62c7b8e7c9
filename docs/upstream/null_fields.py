"""kafka-python: the producer rejects null header values, and records with neither key nor value.

Kafka accepts both, and kafka-python's consumer reads both. Argument: HOST:PORT of a broker.
"""

import sys
from uuid import uuid4

from kafka import KafkaProducer


def main(broker: str) -> bool:
    """Whether the producer rejects both."""
    producer = KafkaProducer(bootstrap_servers=broker)
    topic = f"null-{uuid4().hex}"
    outcomes = []
    for fields in ({"value": b"value", "headers": [("name", None)]}, {"key": None, "value": None}):
        try:
            producer.send(topic, **fields).get(timeout=20)
        except (TypeError, ValueError) as error:
            outcomes.append(repr(error))
        else:
            outcomes.append("acknowledged")
    producer.close(timeout=5)
    print(f"expected: both records are acknowledged\nhappened: {outcomes}")
    return "acknowledged" not in outcomes


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
