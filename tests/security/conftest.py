"""A secured broker for each module of tests, and topics for each test."""

import itertools
from collections.abc import Iterator

import pytest

from detector.settings import KafkaSettings
from detector.stream.admin.topics import create_topics
from tests.security.secured_broker import SecuredBroker, secured_broker

_numbers = itertools.count()


@pytest.fixture(scope="module")
def secured(tmp_path_factory) -> Iterator[SecuredBroker]:
    with secured_broker(tmp_path_factory.mktemp("secured")) as running:
        yield running


@pytest.fixture
def topics(secured) -> KafkaSettings:
    """Three new topics and a new group that only the administrator may use; other users have no ACL on them yet."""
    n = next(_numbers)
    settings = KafkaSettings(
        bootstrap_servers=secured.broker.bootstrap_servers,
        events_topic=f"e{n}",
        alerts_topic=f"a{n}",
        dead_letter_topic=f"d{n}",
        group_id=f"g{n}",
    )
    create_topics(settings, partitions=1)
    return settings
