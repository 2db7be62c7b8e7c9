"""Measurements of the service, against what it is built on."""
