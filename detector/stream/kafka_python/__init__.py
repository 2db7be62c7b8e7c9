"""The stream over kafka-python, the client that needs no compiled library of its own."""
