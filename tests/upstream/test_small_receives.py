def test_small_receives(still_shows, broker):
    """While kafka-python receives 4 KiB per call, the service processes fewer events per second."""
    still_shows("small_receives", broker.bootstrap_servers)
