def test_forgotten_join(still_shows, broker):
    """While kafka-python forgets a join that it started, a member loses its partitions without noticing."""
    still_shows("forgotten_join", broker.bootstrap_servers)
