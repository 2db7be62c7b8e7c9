def test_join_between_polls(still_shows, broker):
    """While kafka-python discards the answer to a join, members with short polls get no partitions."""
    still_shows("join_between_polls", broker.bootstrap_servers)
