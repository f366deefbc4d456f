"""The replica of what exchange-svc needs of catalog-svc: organizations and resources, fed by its events."""
