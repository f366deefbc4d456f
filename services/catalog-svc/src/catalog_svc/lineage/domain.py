"""Rules of lineage: what a resource may be derived from."""

from collections import deque
from collections.abc import Iterable, Sequence
from uuid import UUID

from dxmesh_schemas.problem import Fault

Source = tuple[UUID | None, UUID | None]
"""A resource's id or a taxonomy entry's id; exactly one is there."""


def shape_faults(sources: Sequence[Source]) -> list[Fault]:
    """Return the sources that name nothing, two things, or the same as one before."""
    faults: list[Fault] = []
    seen: dict[Source, int] = {}
    for index, source in enumerate(sources):
        if (source[0] is None) == (source[1] is None):
            faults.append((f"/sources/{index}", "names not exactly one of resource_id and taxonomy_id; give one of them"))
        elif source in seen:
            faults.append((f"/sources/{index}", f"is the same as /sources/{seen[source]}; name it once"))
        else:
            seen[source] = index
    return faults


def loop(resource_id: UUID, sources: Iterable[UUID], edges: Iterable[tuple[UUID, UUID]]) -> list[UUID] | None:
    """Return the shortest way from a resource over its new sources back to itself, or None.

    `edges` are (derived, source) pairs, at least all that are reached from the sources.
    """
    from_: dict[UUID, list[UUID]] = {}
    for derived, source in edges:
        from_.setdefault(derived, []).append(source)
    came: dict[UUID, UUID] = {}
    waiting: deque[UUID] = deque()
    for source in sources:
        if source == resource_id:
            return [resource_id, resource_id]
        if source not in came:
            came[source] = resource_id
            waiting.append(source)
    while waiting:
        here = waiting.popleft()
        for source in from_.get(here, ()):
            if source == resource_id:
                path = [resource_id, here]
                while came[path[-1]] != resource_id:
                    path.append(came[path[-1]])
                return [resource_id, *reversed(path[1:]), resource_id]
            if source not in came:
                came[source] = here
                waiting.append(source)
    return None
