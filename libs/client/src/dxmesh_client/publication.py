"""A resource's way into force, call by call: submitted, approved, published; returned for correction when something is wrong."""

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from dxmesh_client.client import Client

Resource = dict[str, Any]


def _post(client: Client, resource_id: UUID | str, what: str, body: dict[str, Any]) -> Resource:
    given = {name: value for name, value in body.items() if value is not None}
    found: Resource = client.call("POST", f"{client.profile.catalog}/v1/resources/{resource_id}/{what}", json=given).json()
    return found


def submit(client: Client, resource_id: UUID | str, *, reason: str | None = None) -> Resource:
    """Hand a draft in for approval (role steward of its provider). Raises: ProblemAnswer, Unreachable."""
    return _post(client, resource_id, "submission", {"reason": reason})


def approve(
    client: Client,
    resource_id: UUID | str,
    *,
    assessed_by: str,
    personal_information: Literal["none", "passed"] = "none",
    reason: str | None = None,
) -> Resource:
    """Approve what was submitted (role cdo of its provider), both assessments of GDSR Art. 13 passed. Raises: ProblemAnswer."""
    body = {
        "secrecy_risk": {"outcome": "passed", "assessed_by": assessed_by},
        "personal_information": {"outcome": personal_information, "assessed_by": assessed_by},
        "reason": reason,
    }
    return _post(client, resource_id, "approval", body)


def give_back(client: Client, resource_id: UUID | str, *, reason: str, faults: Sequence[dict[str, str]] = ()) -> Resource:
    """Return a draft for correction, with all its faults ({pointer, detail}) at once. Raises: ProblemAnswer, Unreachable."""
    return _post(client, resource_id, "return", {"reason": reason, "faults": list(faults)})


def publish(client: Client, resource_id: UUID | str, *, reason: str | None = None, notice_days: int | None = None) -> Resource:
    """Put an approved draft in force, or announce it (role authority). Raises: ProblemAnswer, Unreachable."""
    return _post(client, resource_id, "publish", {"reason": reason, "notice_days": notice_days})


def put_in_force(provider: Client, authority: Client, resource_id: UUID | str, *, assessed_by: str) -> Resource:
    """Take a draft into force from wherever it stands: `provider` has the roles steward and cdo. Raises: ProblemAnswer, Unreachable."""
    found: Resource = provider.call("GET", f"{provider.profile.catalog}/v1/resources/{resource_id}").json()
    if found["draft_state"] == "draft":
        found = submit(provider, resource_id)
    if found["draft_state"] == "submitted":
        approve(provider, resource_id, assessed_by=assessed_by)
    return publish(authority, resource_id)
