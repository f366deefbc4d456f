"""How long each deadline is: the regulation's values, and those of a jurisdiction, which may be shorter and never longer."""

import json
from collections.abc import Iterator, Mapping
from datetime import date
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError

from dxmesh_clocks.errors import PolicyRefused
from dxmesh_schemas.text import Name, comparable

Days = Annotated[StrictInt, Field(ge=1, le=366)]
MoreDays = Annotated[StrictInt, Field(ge=0, le=366)]


class RuleName(StrEnum):
    """The deadlines a policy sets."""

    CATALOGUE_UPDATE = "catalogue_update"  # a change of law or duties → a new version
    CATALOGUE_REVIEW = "catalogue_review"  # a submitted version → the authority's answer
    REQUEST_UNCONDITIONAL = "request_unconditional"  # a sharing request → the provider's answer
    REQUEST_CONDITIONAL = "request_conditional"
    DELIVERY = "delivery"  # consent → data
    CORRECTION = "correction"  # a correction request → the provider's report
    DISPOSAL = "disposal"  # a grant that is over → what became of the data
    REMEDY = "remedy"  # a suspended grant → its misuse put right, where the suspension names no day
    DISPUTE_NEGOTIATION = "dispute_negotiation"  # a refusal that is disputed → the provider's answer to its requester
    DISPUTE_DECISION = "dispute_decision"  # a dispute brought before an authority or a government → its decision
    DISPUTE_OBJECTION = "dispute_objection"  # a decision → the requester takes it further
    ARBITRATION = "arbitration"  # a case about a data element's source, or an objection to its decision → the answer
    ARBITRATION_OBJECTION = "arbitration_objection"  # a decided case → the objection of the side it went against


class Rule(BaseModel):
    """One deadline, in working days."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    days: Days
    extension_days: MoreDays = 0  # at most, once; 0: never extended
    approaching_days: MoreDays = 0  # near its end while at most this many are left
    pausable: StrictBool = False
    escalation_days: MoreDays = 0  # behind the day it is missed, until the data authority hears of it
    source: Name


class Policy(BaseModel):
    """The deadlines of a jurisdiction."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    jurisdiction: Name
    title: Name
    in_force_on: date
    rules: Mapping[RuleName, Rule]

    def rule(self, name: RuleName) -> Rule:
        """Return a deadline."""
        return self.rules[name]


class _LocalRule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    days: Days | None = None
    extension_days: MoreDays | None = None
    approaching_days: MoreDays | None = None
    pausable: StrictBool | None = None
    escalation_days: MoreDays | None = None
    source: Name


class _LocalPolicy(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    jurisdiction: Name
    title: Name
    in_force_on: date | None = None
    rules: Mapping[RuleName, _LocalRule]


@cache
def regulation() -> Policy:
    """Return the values of 政务数据共享条例 (State Council Decree 809), which bind wherever nothing shorter is set."""
    return Policy.model_validate_json(files("dxmesh_clocks").joinpath("regulation.json").read_bytes())


def local(text: bytes | str) -> Policy:
    """Return the policy of a jurisdiction from its JSON; what it does not name is the regulation's.

    Raises: PolicyRefused for what cannot be read, for an unknown rule or field, and for a rule longer than the regulation's.
    Source: 政务数据共享条例 Art. 23 (shorter local terms are welcome).
    """
    given = _read(text)
    bound = regulation()
    faults = [fault for name, rule in given.rules.items() for fault in _longer(name, rule, bound.rule(name))]
    if given.in_force_on is not None and given.in_force_on < bound.in_force_on:
        faults.append(
            ("/in_force_on", f"is before {bound.in_force_on}, when the regulation came into force; leave it out or write a later day")
        )
    if faults:
        raise PolicyRefused(faults)
    rules = {name: _merged(rule, given.rules.get(name)) for name, rule in bound.rules.items()}
    return Policy(jurisdiction=given.jurisdiction, title=given.title, in_force_on=given.in_force_on or bound.in_force_on, rules=rules)


def _read(text: bytes | str) -> _LocalPolicy:
    try:
        return _LocalPolicy.model_validate(json.loads(text, object_pairs_hook=_each_once))
    except ValidationError as wrong:
        raise PolicyRefused([(_pointer(item["loc"]), _said(item)) for item in wrong.errors()]) from wrong
    except PolicyRefused:
        raise
    except (ValueError, RecursionError) as wrong:  # not JSON, or not UTF-8
        raise PolicyRefused([("", f"is not a JSON document: {wrong}")]) from wrong


def _pointer(location: tuple[Any, ...]) -> str:
    return "".join(f"/{part}" for part in location if part != "[key]")


def _said(item: Any) -> str:
    if item["type"] == "enum":
        return f"is no rule of this policy; known are {', '.join(RuleName)}"
    message: str = item["msg"]
    return message.removeprefix("Value error, ")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if comparable(name) in found:
            raise PolicyRefused([(f"/{name}", "stands twice; write it once")])
        found[name] = value
    return found


def _longer(name: RuleName, rule: _LocalRule, bound: Rule) -> Iterator[tuple[str, str]]:
    """Yield what a local rule allows beyond the regulation."""
    at = f"/rules/{name}"
    for field in ("days", "extension_days", "escalation_days"):
        wanted, most = getattr(rule, field), getattr(bound, field)
        if wanted is not None and wanted > most:
            yield f"{at}/{field}", f"is {wanted}, longer than the {most} of {bound.source}; write {most} or fewer, or leave it out"
    if rule.pausable and not bound.pausable:
        yield f"{at}/pausable", f"is true, but {bound.source} lets this deadline run without pause; leave it out"
    days = rule.days or bound.days
    if rule.approaching_days is not None and rule.approaching_days >= days:
        yield f"{at}/approaching_days", f"is {rule.approaching_days} of {days} days; write less than {days}"


def _merged(bound: Rule, rule: _LocalRule | None) -> Rule:
    if rule is None:
        return bound
    days = rule.days or bound.days
    given = rule.model_dump(exclude_none=True)
    return Rule(**(bound.model_dump() | {"approaching_days": min(bound.approaching_days, days - 1)} | given))
