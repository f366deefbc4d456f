"""Open datasets and their versions: made from a resource's table, withheld when the resource is open no longer."""
