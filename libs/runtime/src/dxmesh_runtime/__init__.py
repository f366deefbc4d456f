"""Plumbing shared by the services: database, outbox, inbox, consumer, auth, problems, telemetry; no domain word."""
