"""Subscriptions: by which way a grant's rows are brought to its requester, to where, and how far that is."""
