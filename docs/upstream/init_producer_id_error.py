"""kafka-python: one unexpected answer to InitProducerId, and an idempotent producer fails every record from then on.

Brokers whose disk is full answer UNKNOWN_SERVER_ERROR for as long as it is. Argument: HOST:PORT of a broker.
"""

import struct
import sys
from uuid import uuid4

from kafka import KafkaProducer
from kafka.errors import KafkaError
from proxy import INIT_PRODUCER_ID, Proxy

UNKNOWN_SERVER_ERROR = -1
ERROR_AT = 9
"""Behind the correlation id (4), the tagged fields of the header (1) and the throttle time (4)."""


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
    print("expected: InitProducerId is asked again, and the second record is acknowledged; or a public way to ask")
    print(f"          the producer whether it is of any more use (has_fatal_error is private)\nhappened: {outcomes}")
    return "acknowledged" not in outcomes[1]


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
