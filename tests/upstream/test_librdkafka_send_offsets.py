def test_librdkafka_send_offsets(still_shows, broker):
    """While librdkafka's call ignores its timeout, a transaction may never end."""
    still_shows("librdkafka_send_offsets", broker.bootstrap_servers)
