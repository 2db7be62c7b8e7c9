def test_transaction_timeouts(still_shows, broker):
    """While kafka-python's transactional calls have no timeout, the service hangs after an outage."""
    still_shows("transaction_timeouts", broker.bootstrap_servers)
