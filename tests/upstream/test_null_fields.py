def test_null_fields(still_shows, broker):
    """While kafka-python cannot write null fields, dead letters differ from the records that they carry."""
    still_shows("null_fields", broker.bootstrap_servers)
