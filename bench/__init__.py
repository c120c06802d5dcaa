"""How fast the service is: `make bench`, or `python -m bench --help`."""
