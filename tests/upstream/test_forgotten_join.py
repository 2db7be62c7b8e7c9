def test_forgotten_join(still_shows, broker):
    """A member loses its partitions unnoticed as long as kafka-python forgets a join that it began."""
    still_shows("forgotten_join", broker.bootstrap_servers)
