"""The daemon: the batch step, its life, its health."""
