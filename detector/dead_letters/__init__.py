"""Shows dead letters, and replays them to the events topic."""
