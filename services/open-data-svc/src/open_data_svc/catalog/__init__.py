"""The replica of what open-data-svc needs of others: resources in force and the newest version of their tables."""
