"""The replica of the demand and scenario lists that catalog-svc keeps, fed by its events."""
