"""Checks of a machine before and after the service starts, each a `Finding`."""
