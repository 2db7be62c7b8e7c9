def test_producer_id_after_expiry(still_shows, broker):
    """Alerts stop for ever after a long outage as long as kafka-python does not ask for a new producer id by itself."""
    still_shows("producer_id_after_expiry", broker.bootstrap_servers)
