"""Rules, assessments and quarantine."""
