def test_returning_member_claims(still_shows, broker):
    """While a returning member claims its old partitions, two members may read the same one."""
    still_shows("returning_member_claims", broker.bootstrap_servers)
