"""Tables in and out: files to typed polars frames and back, the object store, and a resource's Delta Lake table."""
