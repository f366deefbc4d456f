"""Running the rules on batches, keeping and serving what came out."""
