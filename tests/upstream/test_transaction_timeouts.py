def test_transaction_timeouts(still_shows, broker):
    """A service stands still after an outage as long as kafka-python's transactional calls have no timeout."""
    still_shows("transaction_timeouts", broker.bootstrap_servers)
