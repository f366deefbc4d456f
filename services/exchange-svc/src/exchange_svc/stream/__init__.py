"""Streams: rows that come one after the other over a long-lived connection, taken in as small batches."""
