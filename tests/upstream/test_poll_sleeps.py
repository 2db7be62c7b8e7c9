def test_poll_sleeps(still_shows, broker):
    """Some alerts are 100 ms late as long as kafka-python's poll sleeps when an answer has come."""
    still_shows("poll_sleeps", broker.bootstrap_servers)
