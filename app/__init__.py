"""The HTTP front: formats, limits, errors."""

VERSION = "0.1.0"
