"""The front-end agent of a department: takes rows from its folders and tables to the node, and keeps its place on disk."""
