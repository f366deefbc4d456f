"""Channels: the topics of views, described for whoever reads them."""
