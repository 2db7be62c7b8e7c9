def test_poll_spins(still_shows, broker):
    """A frozen broker costs a processor core as long as kafka-python polls without a pause."""
    still_shows("poll_spins", broker.bootstrap_servers)
