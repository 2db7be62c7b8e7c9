"""The model folder and the engines that score with it."""
