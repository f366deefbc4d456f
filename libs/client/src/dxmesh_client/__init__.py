"""What a department or a subscriber installs: the Python SDK and the dxmesh command line."""
