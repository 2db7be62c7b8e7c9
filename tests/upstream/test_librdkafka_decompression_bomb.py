def test_librdkafka_decompression_bomb(still_shows, broker):
    """A few KiB from a hostile producer take all memory as long as librdkafka unpacks gzip without a bound."""
    still_shows("librdkafka_decompression_bomb", broker.bootstrap_servers)
