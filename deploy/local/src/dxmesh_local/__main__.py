"""`python -m dxmesh_local up|down|status|logs|run`: the mesh on one machine."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - said before anything newer is imported
    sys.exit("dxmesh needs Python 3.11 or newer, this is %d.%d: set PYTHON=/path/to/python3.11" % sys.version_info[:2])  # noqa: UP031

from dxmesh_local.commands import main

if __name__ == "__main__":
    sys.exit(main())
