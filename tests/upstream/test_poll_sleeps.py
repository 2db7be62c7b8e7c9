def test_poll_sleeps(still_shows, broker):
    """While kafka-python's poll sleeps although a response has arrived, some alerts are 100 ms late."""
    still_shows("poll_sleeps", broker.bootstrap_servers)
