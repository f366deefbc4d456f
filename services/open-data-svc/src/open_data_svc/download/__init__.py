"""Downloads: the files of dataset versions over HTTP, whole or in ranges, revalidated by digest."""
