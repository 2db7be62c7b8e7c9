def test_null_fields(still_shows, broker):
    """Dead letters are not what was read as long as kafka-python cannot write null fields."""
    still_shows("null_fields", broker.bootstrap_servers)
