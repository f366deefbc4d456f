from uuid import UUID

from catalog_svc.taxonomy.domain import MAX_DEPTH, Entry, TaxonomyKind, parent_faults


def _chain(length: int, *, kind: TaxonomyKind = TaxonomyKind.THEME, is_retired: bool = False) -> list[Entry]:
    return [Entry(UUID(int=number), f"N{number}", kind, is_retired) for number in range(length)]


def test_a_parent_is_there_in_use_and_of_the_same_kind() -> None:
    assert parent_faults(None, TaxonomyKind.THEME, _chain(1)) == []
    for above in ([], _chain(1, is_retired=True), _chain(1, kind=TaxonomyKind.BASE)):
        [(pointer, _)] = parent_faults(None, TaxonomyKind.THEME, above)
        assert pointer == "/parent_id"


def test_an_entry_stands_nowhere_under_itself() -> None:
    above = _chain(3)
    for entry in above:
        [(pointer, what)] = parent_faults(entry.taxonomy_id, TaxonomyKind.THEME, above)
        assert (pointer, "loop" in what) == ("/parent_id", True)
    assert parent_faults(UUID(int=9), TaxonomyKind.THEME, above) == []


def test_the_depth_counts_what_stands_above_and_below() -> None:
    assert parent_faults(None, TaxonomyKind.THEME, _chain(MAX_DEPTH - 1)) == []
    assert parent_faults(None, TaxonomyKind.THEME, _chain(MAX_DEPTH)) != []
    assert parent_faults(UUID(int=99), TaxonomyKind.THEME, _chain(MAX_DEPTH - 2), depth_below=1) == []
    assert parent_faults(UUID(int=99), TaxonomyKind.THEME, _chain(MAX_DEPTH - 2), depth_below=2) != []
