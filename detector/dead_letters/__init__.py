"""The dead-letter topic for people: looked at, and sent back to the events topic."""
