def test_small_receives(still_shows, broker):
    """Events a second are fewer as long as kafka-python receives 4 KiB a call."""
    still_shows("small_receives", broker.bootstrap_servers)
