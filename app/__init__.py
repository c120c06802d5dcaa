"""The HTTP front: what a client sees."""
