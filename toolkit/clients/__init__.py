"""Every client that people have, run against the demo, up and down."""
