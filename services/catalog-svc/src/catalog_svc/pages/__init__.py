"""The pages of the data authority: totals, what waits for whom, and everything in the catalogue with its history."""
