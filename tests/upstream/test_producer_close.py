def test_producer_close(still_shows, broker):
    """A shutdown overruns its time as long as kafka-python's close gives up in the middle."""
    still_shows("producer_close", broker.bootstrap_servers)
