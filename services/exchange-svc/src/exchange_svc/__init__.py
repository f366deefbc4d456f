"""Batches, sharing requests, grants and deliveries."""
