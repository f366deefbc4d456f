"""Batches: intake over HTTP, acknowledgement, acceptance after assessment."""
