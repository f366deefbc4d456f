"""Uploads: a file that arrives in parts over a link that may be cut (tus 1.0), and then goes the way of a push."""
