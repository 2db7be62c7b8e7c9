"""Checks before the service starts: reachability, credentials, topics, ACLs; through public API only."""
