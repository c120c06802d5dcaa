"""The commands of `python -m app`, one a module."""
