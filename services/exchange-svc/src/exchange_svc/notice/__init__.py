"""Notices: versions that are announced and not yet in force, and the delivery in both forms until they are."""
