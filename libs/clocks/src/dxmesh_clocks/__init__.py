"""Deadlines in working days: the calendar, the clocks that run by it, and the policy that says how long they run."""
