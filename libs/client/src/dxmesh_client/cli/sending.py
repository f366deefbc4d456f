"""What was said on the line, sent to a service of the node."""

from typing import Any, Literal
from uuid import UUID

from dxmesh_client.cli.output import show
from dxmesh_client.client import Client

Service = Literal["catalog", "exchange"]
_BARE = ("GET", "DELETE")


def answer_of(service: Service, method: str, path: str, /, **fields: Any) -> Any:
    """Send what was given, without the fields that are None, to `/v1/{path}` of a service; return its JSON, {} where it says nothing."""
    body = {name: str(value) if isinstance(value, UUID) else value for name, value in fields.items() if value is not None}
    with Client() as client:
        base = getattr(client.profile, service)
        answer = client.call(method, f"{base}/v1/{path}", json=None if method in _BARE else body)
        return answer.json() if answer.content else {}


def send(service: Service, method: str, path: str, /, **fields: Any) -> None:
    """Send what was given, as `answer_of`, and show the answer."""
    show(answer_of(service, method, path, **fields))
