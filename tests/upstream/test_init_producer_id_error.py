def test_init_producer_id_error(still_shows, broker):
    """A full disk ends a producer as long as kafka-python does not ask again after an unexpected error."""
    still_shows("init_producer_id_error", broker.bootstrap_servers)
