"""From BETH rows to a model folder."""
