"""Programs that a reader can run against a service: `make demo` starts one."""
