"""Deadlines of sharing, in working days: who owes what by when, and who is told of it."""
