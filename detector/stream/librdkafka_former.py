"""The membership that librdkafka gives up in an outage, taken out of the group: nobody has to wait for it."""

import threading
from functools import partial

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors
from kafka.admin import MemberToRemove

from detector.errors import DetectorError
from detector.settings import KafkaSettings
from detector.stream.background import in_background
from detector.stream.kafka_faults import explain, may_pass
from detector.stream.kafka_options import connection_options
from detector.stream.librdkafka_faults import client_log
from detector.stream.readiness import unreachable

_RETRY_S = 0.2


class FormerMember:
    """Whom the group still counts in, though this process is another member by now.

    When the brokers are away for longer than the session, librdkafka forgets its membership and joins anew. The brokers
    did not see that, and a group waits for all of its members: for the session timeout, 10 s, from when they are back.
    librdkafka has no call that takes a member out; kafka-python's admin client has.

    A member with a fixed identity (`DETECTOR_KAFKA__INSTANCE_ID`) takes its old place by itself, and is left alone.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._is_past = threading.Event()

    def give_up(self, member_id: str) -> None:
        """Take a membership out of the group as soon as the brokers answer; returns at once."""
        self.forget()
        if self._kafka.instance_id is None:
            self._is_past = threading.Event()
            in_background(partial(_take_out, self._kafka, member_id, self._is_past))

    def forget(self) -> None:
        """Nobody waits for it any more: the group was joined again, or left."""
        self._is_past.set()


def _take_out(kafka: KafkaSettings, member_id: str, is_past: threading.Event) -> None:
    """Whatever is in the way of this, the session timeout does it too, only later."""
    try:
        while not is_past.wait(_RETRY_S):
            if unreachable(kafka) is None:
                _remove(kafka, member_id, is_past)
                return
    except (DetectorError, kafka_errors.KafkaError, OSError) as error:
        client_log().warning("the former membership is left to its timeout: %s", explain(error))


def _remove(kafka: KafkaSettings, member_id: str, is_past: threading.Event) -> None:
    admin = KafkaAdminClient(**connection_options(kafka))
    try:
        while True:
            try:
                admin.remove_group_members(kafka.group_id, [MemberToRemove(member_id, reason="its session ended")])
            except kafka_errors.KafkaError as error:
                if not may_pass(error):
                    raise
            else:
                return
            if is_past.wait(_RETRY_S):
                return
    finally:
        admin.close()
