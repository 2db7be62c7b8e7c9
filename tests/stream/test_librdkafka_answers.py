"""Whether the brokers answer, as librdkafka's statistics tell it."""

import json

import pytest

from detector.stream.librdkafka_answers import Answers


def statistics(**answers):
    """Those of a client that had so many answers of each broker."""
    return json.dumps({"name": "detector", "brokers": {name: {"nodeid": 1, "rx": rx} for name, rx in answers.items()}})


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("later", "silent_s"),
    [
        ({"one": 6, "two": 2}, 0.0),
        ({"one": 5, "two": 2}, 30.0),
        # Away, forgotten, and back: it counts from nothing, and is heard with its first answer.
        ({"one": 5, "two": 1}, 0.0),
        ({"one": 5, "two": 0}, 30.0),
        ({"one": 5}, 30.0),
        ({"one": 5, "two": 2, "three": 0}, 30.0),
        ({"one": 5, "two": 2, "three": 1}, 0.0),
    ],
)
def test_each_answer_ends_the_silence(clock, later, silent_s):
    """A broker that came back must not be taken for one that is away."""
    answers = Answers()
    answers(statistics(one=5, two=2))
    clock[0] += 30

    answers(statistics(**later))

    assert answers.silent_s() == silent_s
