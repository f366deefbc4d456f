"""Bodies are JSON: anything else is refused as such, before its fields are looked at."""

from fastapi import Request

from dxmesh_schemas.problem import Unreadable, UnsupportedMedia

BODY_PROBLEMS = (Unreadable, UnsupportedMedia)
"""What any route with a body may answer besides its own problems."""


async def json_body(request: Request) -> None:
    """Refuse a body of another content type. Raises: UnsupportedMedia (415)."""
    headers = request.headers
    is_empty = headers.get("content-length") == "0" or ("content-length" not in headers and "transfer-encoding" not in headers)
    if request.method not in ("POST", "PUT") or is_empty:
        return
    essence = headers.get("content-type", "").partition(";")[0].strip().lower()
    if essence != "application/json" and not (essence.startswith("application/") and essence.endswith("+json")):
        raise UnsupportedMedia(f"the body is sent as {essence or 'nothing'}; send JSON with Content-Type: application/json")
