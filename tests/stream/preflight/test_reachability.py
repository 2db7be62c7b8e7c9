"""What is said about brokers that cannot be reached."""

from detector.settings import KafkaSettings
from detector.stream.preflight.reachability import unreachable_reason


def test_every_unreachable_server_is_named():
    """Otherwise with several bootstrap servers, only the first one's problem would be reported."""
    reason = unreachable_reason(KafkaSettings(bootstrap_servers="127.0.0.1:1,nowhere.invalid:9092")) or ""

    assert "127.0.0.1:1: Connection refused" in reason
    assert "nowhere.invalid:9092: " in reason
