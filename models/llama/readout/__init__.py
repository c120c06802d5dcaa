"""Ways to read hidden states out of llama-server."""
