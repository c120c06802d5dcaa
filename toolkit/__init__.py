"""What tests, the benchmark and the training share: a running service, tiny models."""
