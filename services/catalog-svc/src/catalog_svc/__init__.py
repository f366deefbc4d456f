"""Organizations, systems and data resources, and the tokens of the embedded set-up."""
