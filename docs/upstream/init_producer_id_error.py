"""kafka-python: after one unexpected answer to InitProducerId, an idempotent producer fails every later record.

A broker answers UNKNOWN_SERVER_ERROR while its disk is full. Argument: HOST:PORT of a broker.
"""

import struct
import sys
from uuid import uuid4

from kafka import KafkaProducer
from kafka.errors import KafkaError
from proxy import INIT_PRODUCER_ID, Proxy

UNKNOWN_SERVER_ERROR = -1
ERROR_AT = 9
"""After the correlation id (4 bytes), the tagged fields of the header (1) and the throttle time (4)."""


def main(broker: str) -> bool:
    """Whether records still fail after the brokers have recovered."""
    topic = f"init-{uuid4().hex}"

    def with_error(number: int, answer: bytes) -> bytes:
        if number != INIT_PRODUCER_ID:
            return answer
        return answer[:ERROR_AT] + struct.pack(">h", UNKNOWN_SERVER_ERROR) + answer[ERROR_AT + 2 :]

    with Proxy(broker) as proxy:
        proxy.on_answer = with_error
        producer = KafkaProducer(bootstrap_servers=proxy.address)
        outcomes = []
        for _ in range(2):
            try:
                producer.send(topic, b"value").get(timeout=10)
            except KafkaError as error:
                outcomes.append(repr(error))
            else:
                outcomes.append("acknowledged")
            proxy.on_answer = lambda _, answer: answer
        producer.close(timeout=1)
    print("expected: the second record is acknowledged; or there is a public way to find out that the producer is")
    print(f"          unusable (has_fatal_error is private)\nhappened: {outcomes}")
    return "acknowledged" not in outcomes[1]


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
