"""What is logged about dead letters: the first of a start, and then a line a minute."""

from structlog.testing import capture_logs

from detector.process.log_events import RECORDS_DEAD_LETTERED
from detector.service.causes import Cause
from detector.service.dead_letter_log import DeadLetterLog
from tests.service.in_memory import INVALID_VALUES, KAFKA, make_settings, run_until_read, write_events
from tests.stream.memory import MemoryTopics

NAME = RECORDS_DEAD_LETTERED.name


def cause(offset: int, reason: str) -> Cause:
    return Cause(0, reason, f"why {reason}", f"events-0@{offset}")


def test_first_dead_letter_is_logged_at_once_with_its_cause(clock):
    """Otherwise users would have to read the dead-letter topic to learn why their events are not scored."""
    with capture_logs() as lines:
        DeadLetterLog().add([cause(17, "not_json")])

    (line,) = lines
    assert (line["event_name"], line["log_level"]) == (NAME, "warning")
    fields = {"records": 1, "reason": "not_json", "detail": "why not_json", "place": "events-0@17"}
    assert fields.items() <= line.items()


def test_later_dead_letters_are_one_line_a_minute_with_their_commonest_cause(clock):
    """Otherwise a topic with invalid records would flood the log, or the later ones would go unsaid."""
    log = DeadLetterLog()
    with capture_logs() as lines:
        log.add([cause(0, "not_json")])
        for second in range(120):
            log.add([cause(second, "tombstone" if second % 3 else "not_utf8")])
            clock[0] += 1

    assert [(line["records"], line["reason"], line["place"]) for line in lines] == [
        (1, "not_json", "events-0@0"),
        (61, "tombstone", "events-0@1"),
    ]


def test_last_dead_letters_of_a_burst_are_logged_when_their_minute_is_over(clock):
    """Otherwise the cause of the last dead letters would show only with the next ones, perhaps days later."""
    log = DeadLetterLog()
    log.add([cause(0, "not_json")])
    with capture_logs() as lines:
        log.add([cause(1, "tombstone")])
        clock[0] += 59
        log.log_if_due()
        assert not lines
        clock[0] += 1
        log.log_if_due()
        clock[0] += 60
        log.log_if_due()

    (line,) = lines
    assert (line["records"], line["reason"]) == (1, "tombstone")


def test_daemon_logs_the_cause_of_its_first_dead_letters(model):
    """Otherwise the log of a daemon that reads only invalid records would look as if all were well."""
    topics = MemoryTopics()
    write_events(topics, [INVALID_VALUES["missing_field"]])

    with capture_logs() as lines:
        run_until_read(topics, make_settings(model))

    (line,) = [line for line in lines if line["event_name"] == NAME]
    assert (line["reason"], line["detail"]) == ("missing_field", "userId")
    assert line["place"] == f"{KAFKA.events_topic}-0@0"
