"""The sidecar: what talks to llama-server and makes its files. It knows no model by name."""
