def test_decompression_bomb(still_shows, broker):
    """A few KiB from a hostile producer take all memory as long as kafka-python needs our bounded decoders."""
    still_shows("decompression_bomb", broker.bootstrap_servers)
