"""What is measured: `make bench` runs it, prints ratios of one run, and writes benchmarks/latest.json."""
