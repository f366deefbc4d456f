"""Results of supervision: issued under a department's own key, recognised by others."""
