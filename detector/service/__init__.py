"""The service: how a batch is processed, the main loop around it, and what it reports."""
