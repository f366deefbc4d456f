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


def whose(who: Principal) -> UUID | None:
    """Return whose things are listed to the caller: its organization's; None, everybody's, to the node's data authority.

    Raises: Forbidden (403) for a caller that is neither.
    """
    return None if sees_all(who) else who.own_organization
