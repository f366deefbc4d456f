"""Values that no column holds: refused as any other wrong value, never a failure of the service."""

import base64
import json
from typing import Any
from urllib.parse import quote

EARLY, LATE = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"
"""Times whose moment in UTC is before the year 1, and after 9999."""


async def test_times_and_characters_beyond_what_is_kept_are_refused(exchange: Any) -> None:
    resource = await exchange.publish()
    grant = await exchange.granted(resource)
    at, asked = f"/v1/grants/{grant['grant_id']}", {"legal_basis": "条例", "scenario": "x", "purpose": "x", "approved_by": "局长"}
    head = base64.urlsafe_b64encode(json.dumps({"alg": "EdDSA", "kid": "a\0b"}).encode()).rstrip(b"=").decode()
    signed = {"reason": "x", "approved_by": "局长"}
    cases = [
        ("GET", f"{at}/reconciliation?since={quote(EARLY)}&until={quote('0001-01-02T00:00:00Z')}", None, exchange.requester),
        ("POST", f"{at}/reconciliation", {"since": EARLY, "until": "0001-01-02T00:00:00Z", "batches": []}, exchange.requester),
        ("GET", f"/v1/apis/usage?since={quote(EARLY)}", None, exchange.requester),
        ("GET", f"/v1/apis/usage?until={quote(LATE)}", None, exchange.requester),
        ("POST", "/v1/requests", asked | {"resource_id": str(resource.resource_id), "use_until": LATE}, exchange.requester),
        ("POST", f"{at}/terms", signed | {"use_until": LATE}, exchange.provider),
        ("POST", f"{at}/suspension", {"reason": "x", "remedy_until": "9999-12-31"}, exchange.provider),
        ("GET", "/v1/results?subject=%00", None, exchange.requester),
        ("POST", "/v1/issuer-keys/%00/end", {"reason": "x"}, exchange.requester),
        ("POST", "/v1/results", {"result": f"{head}.e30.AA"}, exchange.requester),
    ]
    for method, path, body, by in cases:
        answer = await exchange.client.request(method, path, json=body, headers=exchange.steward(by))
        assert answer.status_code == 422, (path, answer.text)
        assert answer.json()["detail"]
    seen = (await exchange.client.get(at, headers=exchange.steward(exchange.requester))).json()
    assert (seen["state"], seen["use_until"]) == (grant["state"], None)
