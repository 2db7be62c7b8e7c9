def test_init_producer_id_error(still_shows, broker):
    """While kafka-python does not ask again after an unexpected error, a full disk ends a producer."""
    still_shows("init_producer_id_error", broker.bootstrap_servers)
