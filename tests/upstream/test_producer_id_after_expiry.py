def test_producer_id_after_expiry(still_shows, broker):
    """While kafka-python does not request a new producer id by itself, alerts stop forever after a long outage."""
    still_shows("producer_id_after_expiry", broker.bootstrap_servers)
