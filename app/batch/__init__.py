"""Many requests from files: what is read, what is written, and how a job goes on after a stop."""
