"""What makes the detector run on one machine with nothing else: a broker, a replay, a demo."""
