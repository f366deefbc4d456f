"""What proves an edition of a catalogue without asking anyone: its signature, its digest, and its counts."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

TYPE = "dxmesh-edition+json"


class EditionInvalid(ValueError):
    """An edition that proves nothing; `step` names the check that failed: form, signature, statement, content or counts."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step
        self.reason = reason


@dataclass(frozen=True, slots=True)
class VerifiedEdition:
    """What an edition proves: this node signed these bytes as the catalogue of a year."""

    year: int
    title: str
    signed_by: str
    key_id: str
    published_at: str
    content_sha256: str
    resource_count: int
    item_count: int
    shareable_item_count: int


def verify(edition: bytes, content: Path, keys: bytes) -> VerifiedEdition:
    """Check an edition with nothing but the node's public keys.

    edition: what /v1/editions/{year} answered. content: the file of /v1/editions/{year}/content as JSON, read line by line.
    keys: what /.well-known/jwks.json answered, or another JWK set that is trusted.
    Raises: EditionInvalid saying which step failed and why.
    Source: RFC 7515 (JWS), RFC 8037 (EdDSA), RFC 7517 (JWK set).
    """
    try:
        given = json.loads(edition)
        key_set = KeySet.import_key_set(json.loads(keys))
        signature = str(given["signature"])
    except (JoseError, ValueError, KeyError, TypeError, AttributeError) as wrong:
        raise EditionInvalid("form", f"the edition or the keys are not what a node answers ({wrong!r})") from wrong
    try:
        signed = jws.deserialize_compact(signature, key_set, algorithms=["EdDSA"])
        statement: dict[str, Any] = json.loads(signed.payload)
        header = signed.headers()
    except (JoseError, ValueError) as wrong:
        raise EditionInvalid("signature", f"none of the keys signed it ({wrong})") from wrong
    if header.get("typ") != TYPE:
        raise EditionInvalid("signature", f"it was signed as {header.get('typ')!r}, not as an edition")
    said = given | {"edition": given.get("year")}
    for name in statement:
        # times are compared as the content is: by what was signed, however the answer writes them
        if name not in ("iss", "published_at") and said.get(name) != statement[name]:
            raise EditionInvalid("statement", f"{name} is {said.get(name)!r} in the edition and {statement[name]!r} in what was signed")
    _check(content, statement)
    return VerifiedEdition(
        year=statement["edition"],
        title=statement["title"],
        signed_by=statement["iss"],
        key_id=str(header.get("kid")),
        published_at=statement["published_at"],
        content_sha256=statement["content_sha256"],
        resource_count=statement["resource_count"],
        item_count=statement["item_count"],
        shareable_item_count=statement["shareable_item_count"],
    )


def _check(content: Path, statement: dict[str, Any]) -> None:
    digest, size, resources, items, shareable = hashlib.sha256(), 0, 0, 0, 0
    with content.open("rb") as lines:
        for line in lines:
            digest.update(line)
            size += len(line)
            try:
                kinds = [item["sharing_type"] for item in json.loads(line)["items"]]
            except (ValueError, KeyError, TypeError) as wrong:
                raise EditionInvalid("content", f"line {resources + 1} is no version of a resource ({wrong!r})") from wrong
            resources, items = resources + 1, items + len(kinds)
            shareable += sum(kind != "NOT_SHARED" for kind in kinds)
    if digest.hexdigest() != statement["content_sha256"] or size != statement["content_byte_count"]:
        raise EditionInvalid("content", f"its SHA-256 is {digest.hexdigest()} over {size} bytes, not the one that was signed")
    for name, found in (("resource_count", resources), ("item_count", items), ("shareable_item_count", shareable)):
        if found != statement[name]:
            raise EditionInvalid("counts", f"{name} is {found} in the content and {statement[name]} in what was signed")
