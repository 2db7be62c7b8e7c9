def test_producer_close(still_shows, broker):
    """While kafka-python's close stops in the middle, a shutdown exceeds its timeout."""
    still_shows("producer_close", broker.bootstrap_servers)
