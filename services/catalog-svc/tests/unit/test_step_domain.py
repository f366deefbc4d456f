from datetime import UTC, datetime
from itertools import product
from typing import Any
from uuid import UUID

import pytest

from catalog_svc.resource import domain as resource_domain
from catalog_svc.resource.definition import Definition
from catalog_svc.resource.domain import State
from catalog_svc.resource.errors import IllegalTransition
from catalog_svc.step import domain
from catalog_svc.step.domain import DraftState, StepKind

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
ALLOWED = {
    (None, StepKind.DRAFTED): DraftState.DRAFT,
    (DraftState.DRAFT, StepKind.DRAFTED): DraftState.DRAFT,
    (DraftState.SUBMITTED, StepKind.DRAFTED): DraftState.DRAFT,
    (DraftState.APPROVED, StepKind.DRAFTED): DraftState.DRAFT,
    (DraftState.DRAFT, StepKind.SUBMITTED): DraftState.SUBMITTED,
    (DraftState.SUBMITTED, StepKind.APPROVED): DraftState.APPROVED,
    (DraftState.SUBMITTED, StepKind.RETURNED): DraftState.DRAFT,
    (DraftState.APPROVED, StepKind.RETURNED): DraftState.DRAFT,
    (DraftState.ANNOUNCED, StepKind.RETURNED): DraftState.DRAFT,
    (DraftState.APPROVED, StepKind.ANNOUNCED): DraftState.ANNOUNCED,
    (DraftState.APPROVED, StepKind.PUBLISHED): None,
}


@pytest.mark.parametrize(("draft", "step"), list(product((None, *DraftState), StepKind)))
def test_a_draft_goes_its_way_and_no_other(draft: DraftState | None, step: StepKind) -> None:
    if (draft, step) in ALLOWED:
        assert domain.advance(State.PUBLISHED, draft, step) is ALLOWED[draft, step]
        return
    with pytest.raises(IllegalTransition) as refused:
        domain.advance(State.PUBLISHED, draft, step)
    if draft is not None:
        assert refused.value.members["draft_state"] == draft
        assert refused.value.members["responsible_role"]


@pytest.mark.parametrize("step", StepKind)
def test_what_is_withdrawn_goes_nowhere(step: StepKind) -> None:
    with pytest.raises(IllegalTransition):
        domain.advance(State.WITHDRAWN, None, step)


def test_each_state_has_who_is_to_act() -> None:
    assert [domain.responsible_role(State.PUBLISHED, draft) for draft in (None, *DraftState)] == [
        "steward",
        "steward",
        "cdo",
        "authority",
        "catalogue",
    ]
    assert domain.responsible_role(State.WITHDRAWN, None) is None


def test_a_resource_stands_where_its_draft_stands_until_it_is_published() -> None:
    assert domain.state_beside(DraftState.SUBMITTED, 0) is State.SUBMITTED
    assert domain.state_beside(DraftState.SUBMITTED, 1) is State.PUBLISHED


def test_only_grants_that_hold_a_broken_item_are_touched() -> None:
    grants = [(UUID(int=1), ["a", "b"]), (UUID(int=2), ["c"])]
    assert domain.touched(["b"], False, grants) == [UUID(int=1)]
    assert domain.touched([], False, grants) == []
    assert domain.touched([], True, grants) == [UUID(int=1), UUID(int=2)]


def test_a_notice_names_each_fault_once() -> None:
    given = [{"pointer": "/name", "detail": "too vague"}]
    assert domain.merged(given, [("/steward", "is missing"), ("/name", "too vague")]) == [
        *given,
        {"pointer": "/steward", "detail": "is missing"},
    ]


@pytest.mark.parametrize(
    ("secrecy", "personal", "sensitivity", "pointers"),
    [
        ("passed", "none", None, []),
        ("passed", "none", "TRADE_SECRET", []),
        ("passed", "passed", "SENSITIVE_PERSONAL", []),
        ("failed", "none", None, ["/secrecy_risk/outcome"]),
        ("passed", "failed", None, ["/personal_information/outcome"]),
        ("failed", "failed", None, ["/secrecy_risk/outcome", "/personal_information/outcome"]),
        ("passed", "none", "PERSONAL", ["/personal_information/outcome"]),
        ("passed", "none", "SENSITIVE_PERSONAL", ["/personal_information/outcome"]),
    ],
)
def test_an_approval_rests_on_assessments_that_passed(
    good_entry: Any, good_item: Any, secrecy: str, personal: str, sensitivity: str | None, pointers: list[str]
) -> None:
    items = [good_item("street_code"), good_item("phone", sensitivity=sensitivity)]
    entry = Definition.model_validate(good_entry({"system_id": str(UUID(int=1))}, items=items))
    settled = resource_domain.settle(entry, before=None, now=NOW)
    assessments = {"secrecy_risk": {"outcome": secrecy}, "personal_information": {"outcome": personal}}
    assert [where for where, _ in domain.assessment_faults(settled, assessments)] == pointers
