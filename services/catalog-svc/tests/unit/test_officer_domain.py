from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from catalog_svc.officer.domain import Term, clash, end_faults, term_faults
from dxmesh_schemas.catalog import OfficerRole

_FIRST = date(2026, 1, 1)
_DAYS = st.integers(0, 12).map(lambda days: _FIRST + timedelta(days=days))
_TERMS = st.builds(Term, _DAYS, st.none() | _DAYS)


def _held(term: Term) -> set[date]:
    return {day for day in (_FIRST + timedelta(days=days) for days in range(40)) if term.holds(day)}


@given(_TERMS, _TERMS)
def test_terms_overlap_exactly_when_they_have_a_day_in_common(one: Term, other: Term) -> None:
    assert one.overlaps(other) is bool(_held(one) & _held(other))
    assert one.overlaps(other) is other.overlaps(one)


@given(_TERMS)
def test_a_term_is_empty_exactly_when_it_is_held_on_no_day(term: Term) -> None:
    assert term.is_empty is not bool(_held(term))
    assert bool(term_faults(term)) is term.is_empty


@given(_TERMS, _DAYS)
def test_ending_a_term_never_makes_it_longer(term: Term, until: date) -> None:
    if not end_faults(term, until):
        assert _held(Term(term.since, until)) <= _held(term)


@given(_TERMS, _TERMS)
def test_a_second_cdo_stands_against_the_first_and_a_second_steward_only_if_it_is_the_same(one: Term, other: Term) -> None:
    common = one.overlaps(other)
    assert (clash(OfficerRole.CDO, "a", one, [("b", other)]) == 0) is common
    assert (clash(OfficerRole.STEWARD, "a", one, [("a", other)]) == 0) is common
    assert clash(OfficerRole.STEWARD, "a", one, [("b", other)]) is None
    assert clash(OfficerRole.SHARING_UNIT, "a", one, [("b", other)]) is None
