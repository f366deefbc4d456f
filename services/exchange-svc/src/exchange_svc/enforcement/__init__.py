"""What a grant's terms do to rows: leave out, hide; one home for every way by which rows leave."""
