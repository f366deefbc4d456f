"""What this service knows of resources, code sets and tables, from events."""
