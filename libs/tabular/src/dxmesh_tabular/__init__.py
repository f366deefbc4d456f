"""Rows in columns: files of many formats read into polars frames typed by a resource's items, and back."""
