def test_poll_reference_cycle(still_shows, broker):
    """While kafka-python's poll leaves a reference cycle, only the garbage collector frees the memory of a batch."""
    still_shows("poll_reference_cycle", broker.bootstrap_servers)
