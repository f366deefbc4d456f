"""Grants, the views they compile to, and the pull of a grant's rows."""
