"""Brokers that do not report rights: old ones, and some that are compatible with Kafka."""

import signal

import pytest

from detector.records import OutgoingRecord
from detector.settings.clients import KAFKA_CLIENTS
from detector.stream.kafka_python.sink import KafkaPythonSink
from detector.stream.preflight.topics_and_acls import check_kafka
from tests.helpers import detector, event, kafka_options, running_detector, wait_until, write_all
from tests.stream.capped_broker import DESCRIBE_GROUPS, KAFKA_2_1, METADATA, capped_broker
from tests.stream.reading import closing

BROKERS = {
    "metadata": {METADATA: 7},
    "Kafka 2.1": KAFKA_2_1,
    "no groups": {METADATA: 7, DESCRIBE_GROUPS: -1},
}
"""Highest versions of requests. Rights are reported from Metadata 8 and DescribeGroups 3 on."""


@pytest.fixture(params=BROKERS)
def capped(kafka, request):
    """The settings of a test's topics on a broker that tells less."""
    with capped_broker(kafka.bootstrap_servers, BROKERS[request.param]) as address:
        yield kafka.model_copy(update={"bootstrap_servers": address})


def test_check_says_that_rights_on_topics_are_unknown(capped, model):
    """Otherwise `check --connect` would fail on a broker that works, or claim rights that nobody has confirmed."""
    done = detector(*kafka_options(capped), "--set", f"model.path={model}", "check", "--connect")

    assert done.returncode == 0, done.stdout + done.stderr
    for topic, needed in {capped.events_topic: "READ", capped.alerts_topic: "WRITE"}.items():
        (line,) = [line for line in done.stdout.splitlines() if f"topic {topic}" in line]
        assert f"4 partitions, rights unknown (needs DESCRIBE, {needed}): the broker does not report them" in line


@pytest.mark.parametrize("capped", ["Kafka 2.1", "no groups"], indirect=True)
def test_check_says_that_rights_on_the_group_are_unknown(capped):
    """Otherwise users would look for the cause of a missing right everywhere but at the group."""
    results = {result.subject: result for result in check_kafka(capped, "at-least-once")}

    group = results[f"group {capped.group_id}"]
    assert group.detail == "rights unknown (needs READ): the broker does not report them"
    assert not any(result.problem for result in results.values())


@pytest.mark.parametrize("client", list(KAFKA_CLIENTS))
def test_service_runs_although_rights_are_unknown(capped, client, model, tmp_path):
    """Otherwise users of such brokers could not run the service at all."""
    options = [*kafka_options(capped), "--set", f"model.path={model}", "--set", f"kafka.client={client}"]
    with closing(KafkaPythonSink(capped)) as sink:
        write_all(sink, [OutgoingRecord(capped.events_topic, None, event(), [])])

    with running_detector(options, tmp_path / "log") as daemon:
        wait_until(lambda: daemon.metric("detector_records_scored_total") == 1, "the event to be scored")
        assert daemon.stop(signal.SIGTERM) == 0
