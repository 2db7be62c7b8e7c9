"""What is said about brokers that cannot be reached."""

from detector.settings import KafkaSettings
from detector.stream.preflight.reachability import unreachable_reason


def test_every_unreachable_server_is_named():
    """Otherwise a user with several bootstrap servers would learn only what is wrong with the first one."""
    reason = unreachable_reason(KafkaSettings(bootstrap_servers="127.0.0.1:1,nowhere.invalid:9092")) or ""

    assert "127.0.0.1:1: Connection refused" in reason
    assert "nowhere.invalid:9092: " in reason
