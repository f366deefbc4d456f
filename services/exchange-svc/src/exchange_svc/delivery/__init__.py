"""Deliveries: accepted rows on their way to the topics of views, and the record of what arrived."""
