"""Finds suspicious process events in a Kafka topic."""

__version__ = "0.1.0"
