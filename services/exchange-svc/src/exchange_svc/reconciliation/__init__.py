"""Reconciliation: what a provider says it sent and a requester says it got, held against what this node has."""
