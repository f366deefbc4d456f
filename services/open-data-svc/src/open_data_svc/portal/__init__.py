"""The public portal: the list of datasets and a page for each, Chinese first and in English."""
