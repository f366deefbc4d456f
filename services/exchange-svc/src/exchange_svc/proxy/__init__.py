"""Logical access: a grant's rows asked for at the department's own interface, with no copy kept."""
