def test_aborted_offsets(still_shows, broker):
    """Events are read twice or never as long as kafka-python commits an aborted transaction's offsets with the next."""
    still_shows("aborted_offsets", broker.bootstrap_servers)
