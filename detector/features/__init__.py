"""Feature sets: the inputs that models compute scores from."""
