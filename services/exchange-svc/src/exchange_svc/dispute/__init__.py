"""Disputes about refused and unanswered requests, from negotiation to a government's decision (政务数据共享条例 Art. 28)."""
