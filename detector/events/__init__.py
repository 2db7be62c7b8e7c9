"""Inputs: record values and CSV rows become events; an invalid record gets a reason."""
