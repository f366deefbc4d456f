"""The operator's lists: what is asked for, owed, disputed, delivered and behind, page by page."""
