def test_poll_spins(still_shows, broker):
    """While kafka-python polls without a pause, a frozen broker keeps a processor core busy."""
    still_shows("poll_spins", broker.bootstrap_servers)
