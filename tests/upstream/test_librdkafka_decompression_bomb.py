def test_librdkafka_decompression_bomb(still_shows, broker):
    """While librdkafka decompresses gzip without a limit, a few KiB from a hostile producer take all memory."""
    still_shows("librdkafka_decompression_bomb", broker.bootstrap_servers)
