"""Removes the group membership that librdkafka gave up in an outage, so that the group does not wait for it."""

import threading
from functools import partial

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors
from kafka.admin import MemberToRemove

from detector.errors import DetectorError
from detector.process import log_events
from detector.settings import KafkaSettings
from detector.stream.background import in_background
from detector.stream.kafka_python.errors import describe, is_retriable
from detector.stream.kafka_python.options import connection_options
from detector.stream.preflight.reachability import unreachable_reason

_RETRY_S = 0.2


class StaleMember:
    """A member id that the group still counts, although this process has joined again under another one.

    When brokers are unavailable for longer than the session timeout, librdkafka forgets its membership and joins again.
    The brokers still count the old membership. The next rebalance waits for it until its session timeout (10 s), so no
    member reads meanwhile. librdkafka cannot remove a member; kafka-python's admin client can.

    A static member (`DETECTOR_KAFKA__INSTANCE_ID`) replaces its old membership by itself, so nothing is removed.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._is_obsolete = threading.Event()

    def remove(self, member_id: str) -> None:
        """Remove a member from the group as soon as the brokers answer; returns at once."""
        self.cancel()
        if self._kafka.instance_id is None:
            self._is_obsolete = threading.Event()
            in_background(partial(_remove_when_reachable, self._kafka, member_id, self._is_obsolete))

    def cancel(self) -> None:
        """Stop trying: the group was joined again, or left."""
        self._is_obsolete.set()


def _remove_when_reachable(kafka: KafkaSettings, member_id: str, is_obsolete: threading.Event) -> None:
    """Remove the member once a broker is reachable; after an error its session timeout removes it later."""
    try:
        while not is_obsolete.wait(_RETRY_S):
            if unreachable_reason(kafka) is None:
                _remove(kafka, member_id, is_obsolete)
                return
    except (DetectorError, kafka_errors.KafkaError, OSError) as error:
        log_events.STALE_MEMBER_NOT_REMOVED.log(error=describe(error))


def _remove(kafka: KafkaSettings, member_id: str, is_obsolete: threading.Event) -> None:
    admin = KafkaAdminClient(**connection_options(kafka))
    try:
        while True:
            try:
                admin.remove_group_members(kafka.group_id, [MemberToRemove(member_id, reason="its session expired")])
            except kafka_errors.KafkaError as error:
                if not is_retriable(error):
                    raise
            else:
                return
            if is_obsolete.wait(_RETRY_S):
                return
    finally:
        admin.close()
