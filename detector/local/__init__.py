"""Runs everything on one machine: the embedded broker, the replay of files, and the demo."""
