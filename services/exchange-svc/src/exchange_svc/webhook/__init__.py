"""Webhooks: rows of a view as signed CloudEvents batches, posted to an address of the requester's."""
