"""The table of a resource: accepted batches folded into Delta Lake, seconds behind their acceptance."""
