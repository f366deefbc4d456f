"""Ask the node where a resource's table is: `python where.py http://node:8102 RESOURCE_ID`, the token in DXMESH_TOKEN."""

import json
import os
import sys
from urllib.parse import urlsplit
from urllib.request import Request, url2pathname, urlopen


def table(arguments: list[str] = sys.argv) -> tuple[str, int]:
    """Return the table's address, as Delta Lake readers take it, and its newest version."""
    node, resource_id = arguments[1:3]
    request = Request(f"{node}/v1/resources/{resource_id}/table", headers={"Authorization": f"Bearer {os.environ['DXMESH_TOKEN']}"})
    with urlopen(request) as answer:
        found = json.load(answer)
    if found["version"] is None:
        sys.exit("no batch was folded into the table yet")
    if found["url"] is None:
        sys.exit("only the provider of a resource is told where its table is; others pull: GET /v1/grants/{id}/rows")
    parts = urlsplit(found["url"])
    return (url2pathname(parts.path) if parts.scheme == "file" else found["url"]), found["version"]


if __name__ == "__main__":
    print(*table())
