"""What a resource's items demand of its rows."""
