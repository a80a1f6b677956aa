"""What the benchmarks share: models and rows made on the spot, one trial in a process of its own, the report."""
