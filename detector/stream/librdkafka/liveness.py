"""When a broker last answered, from librdkafka's statistics."""

import time

import msgspec


class _Broker(msgspec.Struct):
    rx: int
    """Responses received since the client was created."""


class _Statistics(msgspec.Struct):
    brokers: dict[str, _Broker]


_decoder = msgspec.json.Decoder(_Statistics)


class Liveness:
    """A `stats_cb` that remembers when a broker last answered."""

    def __init__(self) -> None:
        self._responses: dict[str, int] = {}
        self.responded()

    def __call__(self, statistics: str) -> None:
        """Called within `consume`."""
        responses = {name: broker.rx for name, broker in _decoder.decode(statistics).brokers.items()}
        # "Different", not "greater": the counter of a broker that was unavailable starts at 0 again.
        if any(count and count != self._responses.get(name) for name, count in responses.items()):
            self.responded()
        self._responses = responses

    def responded(self) -> None:
        """Note that a broker answered just now."""
        self._last_response_at = time.monotonic()

    def since_response_s(self) -> float:
        """Seconds since a broker last answered."""
        return time.monotonic() - self._last_response_at
