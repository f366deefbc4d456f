"""Readers: the Kafka users of requesters' information systems, and what Kafka lets each of them do."""
