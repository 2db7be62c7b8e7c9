def test_decompression_bomb(still_shows, broker):
    """While kafka-python decompresses without a limit, a few KiB from a hostile producer take all memory."""
    still_shows("decompression_bomb", broker.bootstrap_servers)
