def test_poll_reference_cycle(still_shows, broker):
    """Memory goes up and down with the garbage collector as long as kafka-python's poll leaves a cycle."""
    still_shows("poll_reference_cycle", broker.bootstrap_servers)
