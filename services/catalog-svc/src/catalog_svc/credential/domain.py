"""Rules of client credentials: identifiers, secrets and roles."""

import secrets
from enum import StrEnum


class Role(StrEnum):
    """What a client may do: enter for its department, approve for it, operate the node, read the audit, decide as the data authority."""

    STEWARD = "steward"
    CDO = "cdo"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    AUTHORITY = "authority"


BOOTSTRAP_ROLES = (Role.AUTHORITY, Role.OPERATOR, Role.AUDITOR)


def new_client_id() -> str:
    """Return a client identifier of 96 random bits, made of unreserved characters."""
    return f"client-{secrets.token_hex(12)}"


def new_secret() -> str:
    """Return a secret of 256 random bits, made of unreserved characters."""
    return secrets.token_urlsafe(32)
