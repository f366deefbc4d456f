"""Sharing requests and their decisions."""
