def test_aborted_offsets(still_shows, broker):
    """While kafka-python commits an aborted transaction's offsets with the next one, events are read twice or never."""
    still_shows("aborted_offsets", broker.bootstrap_servers)
