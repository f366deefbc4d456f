"""Rules of disputes: before whom they come, in turn, and who may bring them on when."""

from datetime import date

import pytest

from dxmesh_clocks.policy import RuleName
from exchange_svc.dispute.domain import (
    Rung,
    State,
    check_decidable,
    check_document,
    check_further,
    common_division,
    following,
    ladder,
    rule_of,
)
from exchange_svc.dispute.errors import DecisionInvalid, DisputeEarly, DisputeLate, DisputeOver, NotYourTurn

DAY = date(2026, 11, 16)


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ("330600", "330600", "3306"),
        ("3306", "330600000000", "3306"),
        ("330602", "330681", "3306"),
        ("330602", "330100", "33"),
        ("330600", "330000", "33"),
        ("330602001000", "330602001005", "330602001"),
        ("330600", "310000", ""),
    ],
)
def test_the_common_division_is_the_lowest_both_are_of(one: str, other: str, common: str) -> None:
    assert common_division(one, other) == common_division(other, one) == common


def test_sides_of_one_level_come_before_its_authority_others_before_the_common_one_and_both_before_a_government() -> None:
    assert ladder("330600", "3306") == (Rung.NEGOTIATION, Rung.AUTHORITY, Rung.GOVERNMENT)
    for other in ("330602", "330000", "340600"):
        assert ladder("330600", other) == (Rung.NEGOTIATION, Rung.UPPER_AUTHORITY, Rung.GOVERNMENT)
    assert following(Rung.NEGOTIATION, "330600", "330600") is Rung.AUTHORITY
    assert following(Rung.GOVERNMENT, "330600", "330600") is None


def test_each_answer_has_a_rule_to_be_due_by() -> None:
    assert {rung: rule_of(rung) for rung in Rung} == {
        Rung.NEGOTIATION: RuleName.DISPUTE_NEGOTIATION,
        **dict.fromkeys((Rung.AUTHORITY, Rung.UPPER_AUTHORITY, Rung.GOVERNMENT), RuleName.DISPUTE_DECISION),
    }


def test_a_dispute_is_taken_further_when_it_was_decided_or_the_answer_is_late_and_not_for_ever() -> None:
    check_further(State.OPEN, further_until=None, due_on=DAY, is_missed=True, today=DAY)
    check_further(State.DECIDED, further_until=DAY, due_on=None, is_missed=False, today=DAY)
    with pytest.raises(DisputeEarly):
        check_further(State.OPEN, further_until=None, due_on=DAY, is_missed=False, today=DAY)
    with pytest.raises(DisputeLate):
        check_further(State.DECIDED, further_until=DAY, due_on=None, is_missed=False, today=date(2026, 11, 17))
    for over in (State.SETTLED, State.WITHDRAWN):
        with pytest.raises(DisputeOver):
            check_further(over, further_until=None, due_on=None, is_missed=False, today=DAY)


def test_whom_it_is_before_answers_and_nobody_else() -> None:
    check_decidable(State.OPEN, Rung.NEGOTIATION, is_provider=True, is_authority=False)
    check_decidable(State.OPEN, Rung.AUTHORITY, is_provider=False, is_authority=True)
    with pytest.raises(NotYourTurn):
        check_decidable(State.OPEN, Rung.NEGOTIATION, is_provider=False, is_authority=True)
    with pytest.raises(NotYourTurn):
        check_decidable(State.OPEN, Rung.GOVERNMENT, is_provider=True, is_authority=False)
    with pytest.raises(DisputeOver):
        check_decidable(State.DECIDED, Rung.AUTHORITY, is_provider=False, is_authority=True)


@pytest.mark.parametrize(
    ("rung", "document", "is_good"),
    [
        (Rung.NEGOTIATION, None, True),
        (Rung.AUTHORITY, None, True),
        (Rung.UPPER_AUTHORITY, "浙数〔2026〕1号", True),
        (Rung.GOVERNMENT, "绍政〔2026〕1号", True),
        (Rung.GOVERNMENT, None, False),
        (Rung.UPPER_AUTHORITY, None, False),
        (Rung.AUTHORITY, "x", False),
        (Rung.NEGOTIATION, "x", False),
    ],
)
def test_what_another_body_decided_is_named_by_its_number(rung: Rung, document: str | None, is_good: bool) -> None:
    if is_good:
        check_document(rung, document)
    else:
        with pytest.raises(DecisionInvalid):
            check_document(rung, document)
