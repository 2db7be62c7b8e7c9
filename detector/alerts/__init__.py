"""Outputs: alerts and dead letters."""
