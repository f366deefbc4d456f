from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from catalog_svc.lineage.domain import loop, shape_faults

_IDS = [UUID(int=number) for number in range(8)]
_ID = st.sampled_from(_IDS)


def _reached(start: set[UUID], edges: list[tuple[UUID, UUID]]) -> set[UUID]:
    found = set(start)
    while more := {source for derived, source in edges if derived in found} - found:
        found |= more
    return found


@given(_ID, st.lists(_ID, max_size=4), st.lists(st.tuples(_ID, _ID), max_size=20))
def test_a_loop_is_found_exactly_when_a_source_leads_back_and_the_path_is_one(
    resource_id: UUID, sources: list[UUID], edges: list[tuple[UUID, UUID]]
) -> None:
    path = loop(resource_id, sources, edges)
    assert (path is not None) is (resource_id in _reached(set(sources), edges))
    if path is not None:
        assert path[0] == path[-1] == resource_id
        assert path[1] in sources
        steps = list(pairwise(path[1:]))
        assert all(step in edges for step in steps)
        assert len(set(path[1:])) == len(path) - 1


def test_a_chain_of_thousands_is_followed_to_its_end() -> None:
    ids = [UUID(int=number) for number in range(5_000)]
    edges = list(pairwise(ids))
    path = loop(ids[-1], [ids[0]], edges)
    assert path is not None
    assert len(path) == 5_001
    assert loop(UUID(int=9_999), [ids[0]], edges) is None


def test_sources_name_one_thing_each_and_each_thing_once() -> None:
    one, other = _IDS[:2]
    assert shape_faults([(one, None), (other, None), (None, one)]) == []
    assert [pointer for pointer, _ in shape_faults([(None, None), (one, other), (one, None), (one, None)])] == [
        "/sources/0",
        "/sources/1",
        "/sources/3",
    ]
