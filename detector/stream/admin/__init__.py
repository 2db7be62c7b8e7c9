"""Uses topics and groups without joining a group: for `dead-letter`, `replay`, the demo and the tests.

kafka-python does this whichever client the service reads with: it is always installed, and its public API suffices.
"""
