"""The CKAN face: the read side of the Action API (version 3) over the same datasets."""
