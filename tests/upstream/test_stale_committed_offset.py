def test_stale_committed_offset(still_shows, broker):
    """While kafka-python returns an outdated committed offset, events are read again."""
    still_shows("stale_committed_offset", broker.bootstrap_servers)
