def test_join_between_polls(still_shows, broker):
    """Members that poll briefly get no partitions as long as kafka-python throws away the answer to a join."""
    still_shows("join_between_polls", broker.bootstrap_servers)
