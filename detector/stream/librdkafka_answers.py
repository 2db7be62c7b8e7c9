"""Whether the brokers answer, from librdkafka's statistics."""

import time

import msgspec


class _Broker(msgspec.Struct):
    rx: int
    """Answers that came, since the client was made."""


class _Statistics(msgspec.Struct):
    brokers: dict[str, _Broker]


_decoder = msgspec.json.Decoder(_Statistics)


class Answers:
    """A `stats_cb`: remembers when an answer last came."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self.came()

    def __call__(self, statistics: str) -> None:
        """Called in the midst of `consume`."""
        numbers = {name: broker.rx for name, broker in _decoder.decode(statistics).brokers.items()}
        # Not "more than before": a broker that was away counts from nothing when it is back.
        if any(number and number != self._numbers.get(name) for name, number in numbers.items()):
            self.came()
        self._numbers = numbers

    def came(self) -> None:
        """An answer came just now."""
        self._at = time.monotonic()

    def silent_s(self) -> float:
        """How long no answer has come, in seconds."""
        return time.monotonic() - self._at
