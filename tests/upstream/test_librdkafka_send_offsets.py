def test_librdkafka_send_offsets(still_shows, broker):
    """A transaction never ends as long as librdkafka's call ignores its timeout."""
    still_shows("librdkafka_send_offsets", broker.bootstrap_servers)
