"""Peers: alternatives that users could choose, implemented for the daemon's task, each in its own environment."""
