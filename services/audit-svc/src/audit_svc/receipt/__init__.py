"""Receipts: an entry, its payload, and the proof that it is in the log."""
