def test_topic_creation(still_shows, broker):
    """A typing error in a topic's name makes a topic as long as kafka-python ignores its own option."""
    still_shows("topic_creation", broker.bootstrap_servers)
