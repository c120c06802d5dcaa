"""Trains the demo model from scratch: `make train`, or `python -m training --help`."""
