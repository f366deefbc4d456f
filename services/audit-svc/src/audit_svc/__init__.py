"""The transparency log, receipts and the ledger."""
