"""Rules of notices: which views an announced version touches, and under which version a file may be pushed meanwhile."""

from collections.abc import Collection, Sequence
from datetime import datetime

from exchange_svc.notice.errors import VersionNotInForce


def touches(touched: Sequence[str] | None, items: Collection[str]) -> bool:
    """Say whether a change breaks what a view's readers rely on; touched: the items that change, None when all is touched."""
    return touched is None or not set(touched).isdisjoint(items)


def check_version(asked: int, *, in_force: int, coming: tuple[int, datetime] | None) -> None:
    """Let a file be pushed by the version in force. Raises: VersionNotInForce (409), saying which is and from when another will be."""
    if asked == in_force:
        return
    if coming is not None and asked == coming[0]:
        detail = (
            f"version {asked} is in force from {coming[1].isoformat()}; until then push by version {in_force}: "
            "its rows are delivered in both forms"
        )
    else:
        detail = f"version {asked} is not in force: make the file by version {in_force}, or leave `version` away"
    raise VersionNotInForce.at("query:version", detail, in_force=in_force)
