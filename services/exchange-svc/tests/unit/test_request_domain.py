from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxmesh_schemas.catalog import (
    DataItem,
    DataType,
    OpenType,
    OrganizationRef,
    ResourceSnapshot,
    SharingType,
    StandingConsent,
    UpdateCycle,
)
from dxmesh_schemas.exchange_terms import Comparison, Keep, Mode, Narrowing, Prefix, Pseudonym, Terms
from exchange_svc.grant.errors import TermsInvalid
from exchange_svc.request import domain
from exchange_svc.request.domain import State, Step
from exchange_svc.request.errors import ItemsUnknown, NotShared, ReasonMissing, RequestAnswered, RequestState, UseUntilPast

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
FINAL = set(domain.OVER)


def resource(
    *items: tuple[str, SharingType], sharing: SharingType = SharingType.UNCONDITIONAL, condition: str | None = None
) -> ResourceSnapshot:
    return ResourceSnapshot(
        resource_id=UUID(int=1),
        version=1,
        resource_code="330600-1",
        name="streets",
        summary="",
        class_path="1",
        provider=OrganizationRef(organization_id=UUID(int=2), uscc="x", name="p", division_code="330600"),
        system_id=UUID(int=3),
        items=tuple(DataItem(code=code, name=code, data_type=DataType.TEXT, sharing_type=kind) for code, kind in items),
        sharing_type=sharing,
        sharing_condition=condition,
        open_type=OpenType.CLOSED,
        update_cycle=UpdateCycle.DAILY,
        schema_url="https://mesh.example/schema.json",
        published_at=NOW,
    )


FREE, LIMITED, KEPT = SharingType.UNCONDITIONAL, SharingType.CONDITIONAL, SharingType.NOT_SHARED


@given(
    st.lists(
        st.tuples(st.sampled_from([step for step in Step if step is not Step.DISPUTE]), st.one_of(st.none(), st.text(max_size=3))),
        max_size=12,
    )
)
def test_an_answered_request_stays_as_it_was_answered(steps: list[tuple[Step, str | None]]) -> None:
    state, answered = State.DRAFT, None
    for step, reason in steps:
        try:
            state = domain.advance(state, step, reason=reason)
        except (RequestAnswered, RequestState, ReasonMissing):
            continue
        assert answered is None, "a second answer was let through"
        if state in FINAL:
            answered = state
    assert answered is None or state is answered


@given(st.sampled_from(State), st.sampled_from(Step), st.one_of(st.none(), st.text()))
def test_only_steps_of_the_table_are_possible(state: State, step: Step, reason: str | None) -> None:
    if (state, step) not in domain.TRANSITIONS:
        with pytest.raises(RequestAnswered if state in FINAL else RequestState):
            domain.advance(state, step, reason=reason)
    elif step is Step.REFUSE and not (reason or "").strip():
        with pytest.raises(ReasonMissing):
            domain.advance(state, step, reason=reason)
    else:
        assert domain.advance(state, step, reason=reason) is domain.TRANSITIONS[state, step]


def test_every_state_can_be_reached_and_final_states_have_no_way_out() -> None:
    assert {State.DRAFT, *domain.TRANSITIONS.values()} == set(State)
    ways_out = {(state, step) for state, step in domain.TRANSITIONS if state in FINAL}
    assert ways_out == {(State.REFUSED, Step.DISPUTE)}, "a refusal may be disputed"
    ends = {after for (state, _), after in domain.TRANSITIONS.items() if state is State.DISPUTED}
    assert ends == {State.GRANTED, State.REFUSED, State.UNDER_REVIEW}


def test_items_come_in_the_order_of_the_resource_and_once() -> None:
    chosen = domain.choose_items(resource(("a", FREE), ("b", FREE), ("c", FREE)), ["c", "a", "c"])
    assert [item.code for item in chosen] == ["a", "c"]


def test_no_items_named_means_all_that_are_shared() -> None:
    assert [item.code for item in domain.choose_items(resource(("a", FREE), ("b", KEPT)), None)] == ["a"]


@pytest.mark.parametrize("wanted", [["z"], ["a", "z"], []])
def test_items_the_resource_has_not_are_refused_by_name(wanted: list[str]) -> None:
    with pytest.raises(ItemsUnknown) as refused:
        domain.choose_items(resource(("a", FREE)), wanted)
    assert refused.value.members["errors"][0]["pointer"] == "/items"


def test_what_is_not_shared_is_refused_with_its_basis() -> None:
    with pytest.raises(NotShared) as whole:
        domain.choose_items(resource(("a", FREE), sharing=KEPT, condition="统计法 Art. 9"), None)
    assert whole.value.members["basis"] == "统计法 Art. 9"
    with pytest.raises(NotShared, match="b"):
        domain.choose_items(resource(("a", FREE), ("b", KEPT)), ["a", "b"])
    with pytest.raises(NotShared):
        domain.choose_items(resource(("a", KEPT)), None)


def test_one_conditional_item_makes_the_request_conditional() -> None:
    mixed = resource(("a", FREE), ("b", LIMITED))
    assert domain.sharing_of(mixed, domain.choose_items(mixed, ["a"])) is FREE
    assert domain.sharing_of(mixed, domain.choose_items(mixed, None)) is LIMITED
    assert domain.sharing_of(resource(("a", FREE), sharing=LIMITED), mixed.items[:1]) is LIMITED


def test_a_standing_consent_answers_unconditional_requests_only() -> None:
    consent = StandingConsent(approved_by="head", approved_at=NOW)
    consenting = resource(("a", FREE)).model_copy(update={"standing_consent": consent})
    assert domain.consent_for(consenting, consenting.items, FREE) == consent
    assert domain.consent_for(consenting, consenting.items, LIMITED) is None
    assert domain.consent_for(resource(("a", FREE)), (), FREE) is None
    for closer in ({"is_core": True}, {"is_important": True}):
        assert domain.consent_for(consenting.model_copy(update=closer), consenting.items, FREE) is None
    high = consenting.items[0].model_copy(update={"data_level": 3})
    assert domain.consent_for(consenting, [high], FREE) is None


def test_an_answer_narrows_what_was_asked_for_and_never_widens_it() -> None:
    area, year = Prefix(item="a", op="prefix", values=("3306",)), Comparison(item="a", op="ge", value="2")
    asked = Terms(where=(area,), modes=(Mode.TOPIC, Mode.PULL), systems=(UUID(int=1), UUID(int=2)), calls_per_minute=60)
    token, keep = Pseudonym(item="a", mask="pseudonym"), Keep(item="a", mask="keep", prefix=1)
    found = domain.narrowed(asked, Narrowing(where=(year, area), masks=(token,), modes=(Mode.PULL, Mode.FILE), calls_per_minute=100))
    assert found == asked.model_copy(update={"where": (area, year), "masks": (token,), "modes": (Mode.PULL,)})
    assert domain.narrowed(asked, Narrowing()) == asked
    assert domain.narrowed(Terms(masks=(keep,)), Narrowing(masks=())).masks == (keep,)
    assert domain.narrowed(Terms(masks=(keep,)), Narrowing(masks=(token,))).masks == (token,)
    for wider, at in ((Narrowing(modes=(Mode.FILE,)), "/terms/modes"), (Narrowing(systems=(UUID(int=3),)), "/terms/systems")):
        with pytest.raises(TermsInvalid) as refused:
            domain.narrowed(asked, wider)
        assert refused.value.members["errors"][0]["pointer"] == at


def test_a_mask_that_was_asked_for_goes_with_the_item_that_is_not_granted() -> None:
    items = [DataItem(code=code, name=code, data_type=DataType.TEXT) for code in "ab"]
    asked = Terms(masks=tuple(Pseudonym(item=code, mask="pseudonym") for code in "ab"), calls_per_minute=60)
    left = domain.asked_of(asked, items[1:])
    assert ([mask.item for mask in left.masks], left.calls_per_minute) == (["b"], 60)
    domain.check_terms(domain.narrowed(left, Narrowing()), items[1:])


def test_items_of_a_high_level_leave_behind_a_mask_or_with_a_reason() -> None:
    items = [DataItem(code=code, name=code, data_type=DataType.TEXT, data_level=level) for code, level in (("a", 2), ("b", 3), ("c", 4))]
    assert [at for at, _ in domain.unmasked_faults(Terms(), items, {})] == ["/masks", "/masks"]
    token = Terms(masks=(Pseudonym(item="c", mask="pseudonym"),))
    assert not list(domain.unmasked_faults(token, items, {"b": "依法核验"}))
    assert [at for at, _ in domain.unmasked_faults(token, items, {"b": "x", "c": "y", "z": "w"})] == ["/unmasked/c", "/unmasked/z"]
    assert not list(domain.unmasked_faults(Terms(modes=(Mode.VERIFY,)), items, {}))


def test_a_time_limit_in_the_past_is_refused() -> None:
    domain.check_use_until(None, NOW)
    domain.check_use_until(NOW + timedelta(seconds=1), NOW)
    with pytest.raises(UseUntilPast):
        domain.check_use_until(NOW, NOW)
