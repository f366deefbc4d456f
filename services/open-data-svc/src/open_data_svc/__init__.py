"""Open datasets, the public portal and its CKAN face."""
