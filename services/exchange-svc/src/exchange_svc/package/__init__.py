"""Packages: what a grant reads now as one sealed file, fetched by a link with a term and a count."""
