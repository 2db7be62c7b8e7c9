"""Trains a model on labelled BETH rows and writes it as a model folder."""
