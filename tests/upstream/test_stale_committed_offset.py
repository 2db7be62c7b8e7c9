def test_stale_committed_offset(still_shows, broker):
    """Events are read again as long as kafka-python gives an old answer for the committed offset."""
    still_shows("stale_committed_offset", broker.bootstrap_servers)
