"""The inventory of exchange channels: agents' jobs as they report, and channels from before the node, until they are consolidated."""
