"""The ledger: what became of the rows of each batch."""
