"""Who sees what: an organization its own things, the node's data authority everything."""

from uuid import UUID

from dxmesh_runtime.auth import Principal

AUTHORITY = "authority"


def sees(who: Principal, *organizations: UUID) -> bool:
    """Say whether the caller acts for one of these organizations, or for the node's data authority."""
    return who.organization_id in organizations or who.has(AUTHORITY)


def sees_all(who: Principal) -> bool:
    """Say whether the caller reads across organizations."""
    return who.has(AUTHORITY)
