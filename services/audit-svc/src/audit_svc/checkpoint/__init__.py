"""Checkpoints: signed statements of the tree's size and root."""
