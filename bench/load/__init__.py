"""How the platform bears load: `make bench-load`, or each module by itself; results are JSON with the machine described."""
