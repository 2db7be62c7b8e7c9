def test_evicted_while_joining(still_shows, broker):
    """While kafka-python does not report that partitions are lost, a process that was suspended writes duplicates."""
    still_shows("evicted_while_joining", broker.bootstrap_servers)
