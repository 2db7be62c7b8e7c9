def test_topic_creation(still_shows, broker):
    """While kafka-python ignores its own option, a typing error in a topic's name creates a topic."""
    still_shows("topic_creation", broker.bootstrap_servers)
