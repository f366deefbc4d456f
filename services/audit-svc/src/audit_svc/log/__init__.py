"""The log: entries, and the Merkle tree over them."""
