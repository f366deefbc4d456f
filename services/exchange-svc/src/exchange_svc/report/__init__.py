"""Reports of exchange-svc."""
