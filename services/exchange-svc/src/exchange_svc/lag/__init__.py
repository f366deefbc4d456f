"""Lag: how far each subscriber of a view is behind what was accepted, in whichever way it has the rows."""
