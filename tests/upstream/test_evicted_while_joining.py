def test_evicted_while_joining(still_shows, broker):
    """A process that slept writes duplicates as long as kafka-python does not tell it that its partitions are lost."""
    still_shows("evicted_while_joining", broker.bootstrap_servers)
