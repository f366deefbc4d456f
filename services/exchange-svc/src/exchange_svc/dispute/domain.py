"""Before whom a dispute comes, who may bring it on, and when (政务数据共享条例 Art. 28)."""

from datetime import date
from enum import StrEnum
from itertools import takewhile

from dxmesh_clocks.policy import RuleName
from exchange_svc.dispute.errors import DecisionInvalid, DisputeEarly, DisputeLate, DisputeOver, NotYourTurn

_LEVELS = (2, 2, 2, 3, 3)  # digits of province, city, county, township, village (GB/T 2260, GB/T 10114)


class Rung(StrEnum):
    """Before whom a dispute is."""

    NEGOTIATION = "negotiation"  # the two sides themselves
    AUTHORITY = "authority"  # the data authority of their level
    UPPER_AUTHORITY = "upper_authority"  # the lowest one above both, where they are of different levels or places
    GOVERNMENT = "government"  # the people's government of that authority


class State(StrEnum):
    """Where a dispute is."""

    OPEN = "open"  # an answer is owed
    DECIDED = "decided"  # the refusal was upheld, and may be taken further until a day
    SETTLED = "settled"  # for good
    WITHDRAWN = "withdrawn"


class Outcome(StrEnum):
    """How a dispute is answered."""

    GRANTED = "granted"
    UPHELD = "upheld"


class Step(StrEnum):
    """What happens to a dispute."""

    OPENED = "opened"
    TAKEN_FURTHER = "taken_further"
    DECIDED = "decided"
    WITHDRAWN = "withdrawn"


def _parts(code: str) -> tuple[str, ...]:
    padded, parts, at = code.ljust(sum(_LEVELS), "0"), [], 0
    for length in _LEVELS:
        parts.append(padded[at : at + length])
        at += length
    return tuple(takewhile(lambda part: part.strip("0"), parts))


def common_division(one: str, other: str) -> str:
    """Return the code of the lowest division that two are of; empty for the nation."""
    return "".join(left for left, _ in takewhile(lambda pair: pair[0] == pair[1], zip(_parts(one), _parts(other), strict=False)))


def ladder(requester: str, provider: str) -> tuple[Rung, ...]:
    """Return before whom a dispute between bodies of two divisions comes, in turn.

    Source: 政务数据共享条例 Art. 28: at one level the data authority of that level, across levels and places the common one above; then
    its people's government.
    """
    authority = Rung.AUTHORITY if _parts(requester) == _parts(provider) else Rung.UPPER_AUTHORITY
    return (Rung.NEGOTIATION, authority, Rung.GOVERNMENT)


def following(rung: Rung, requester: str, provider: str) -> Rung | None:
    """Return before whom a dispute comes next; None behind the last."""
    rungs = ladder(requester, provider)
    at = rungs.index(rung) + 1
    return rungs[at] if at < len(rungs) else None


def rule_of(rung: Rung) -> RuleName:
    """Return by which rule an answer is due."""
    return RuleName.DISPUTE_NEGOTIATION if rung is Rung.NEGOTIATION else RuleName.DISPUTE_DECISION


def check_further(state: State, *, further_until: date | None, due_on: date | None, is_missed: bool, today: date) -> None:
    """Let a dispute be taken further whose answer upheld the refusal, or did not come in time.

    Raises: DisputeEarly, DisputeLate, DisputeOver (409).
    """
    if state is State.OPEN and not is_missed:
        raise DisputeEarly(
            f"an answer is due by {due_on}: take it further when it is given, or when that day has passed", due_on=str(due_on)
        )
    if state is State.DECIDED and further_until is not None and today > further_until:
        raise DisputeLate(f"the last day to take it further was {further_until}; the refusal stands", until=str(further_until))
    if state in (State.SETTLED, State.WITHDRAWN):
        raise DisputeOver(f"the dispute is {state}; submit a new request when there are new facts", state=state.value)


def check_open(state: State) -> None:
    """Let a dispute be withdrawn whose answer is owed. Raises: DisputeOver (409)."""
    if state is not State.OPEN:
        raise DisputeOver(f"the dispute is {state}; no answer is owed", state=state.value)


def check_decidable(state: State, rung: Rung, *, is_provider: bool, is_authority: bool) -> None:
    """Let a dispute be answered by whom it is before. Raises: DisputeOver (409), NotYourTurn (403)."""
    if rung is Rung.NEGOTIATION and not is_provider:
        raise NotYourTurn("the two sides negotiate: the provider answers; the requester takes it further when they do not agree")
    if rung is not Rung.NEGOTIATION and not is_authority:
        raise NotYourTurn(f"the dispute is before the {rung.replace('_', ' ')}; the data authority enters what is decided")
    check_open(state)


def check_document(rung: Rung, document: str | None) -> None:
    """Have a decision of another body than this node's name its number. Raises: DecisionInvalid (422)."""
    if rung in (Rung.UPPER_AUTHORITY, Rung.GOVERNMENT) and document is None:
        detail = f"is missing: the {rung.replace('_', ' ')} decides; name its decision by number"
    elif rung in (Rung.NEGOTIATION, Rung.AUTHORITY) and document is not None:
        detail = "belongs to the decision of an upper authority or a government; leave it out"
    else:
        return
    raise DecisionInvalid.of([("/document", detail)])
