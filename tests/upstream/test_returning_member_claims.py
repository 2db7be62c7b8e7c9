def test_returning_member_claims(still_shows, broker):
    """A partition has two readers as long as a member that returns claims what is another's."""
    still_shows("returning_member_claims", broker.bootstrap_servers)
