"""Demands met with what is published here, and how long that takes (供需对接)."""
