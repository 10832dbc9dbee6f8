"""Measurements: `make bench`. README.md says how each figure is made."""
