"""The shapes of code sets over HTTP."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from catalog_svc.code_set import domain, store
from catalog_svc.code_set.domain import About
from catalog_svc.code_set.entry import CodeSetKind, Entry, Standing, decided
from catalog_svc.code_set.explain import disputed, words_of
from dxmesh_schemas.text import Name, Paragraph, Reason, check_code

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,99}$"


def _day(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError("is no day; write it as 2013-10-18") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError("is no day; write it as 2013-10-18")


Day = Annotated[date, BeforeValidator(_day)]
"""A day as YYYY-MM-DD; never a number, which might be taken for seconds."""
CodeSetName = Annotated[str, Path(pattern=NAME_PATTERN, description="lower-case letters, digits, dot, underscore, hyphen")]
SetReference = Annotated[str, Field(pattern=NAME_PATTERN)]
CodeText = Annotated[str, Path(max_length=domain.MAX_CODE_CHARACTERS), AfterValidator(check_code)]


class EntryIn(BaseModel):
    """What a source says of a code."""

    model_config = ConfigDict(extra="forbid")
    code: str
    label: Name | None = None
    parent: str | None = None
    valid_from: Day | None = None
    valid_until: Annotated[Day | None, Field(description="the first day without the code")] = None
    is_retired: Annotated[bool, Field(description="retired, and no source says since when")] = False
    successors: Annotated[list[str], Field(max_length=domain.MAX_SUCCESSORS)] = []
    source: Name | None = None
    note: Paragraph | None = None

    def entry(self) -> Entry:
        """Return it as the rules know it."""
        return Entry(**(self.model_dump() | {"source": self.source or "", "successors": tuple(self.successors), "note": self.note or None}))


class CodeSetIn(BaseModel):
    """A code set as it should be: plain codes, or entries that say more of each."""

    model_config = ConfigDict(extra="forbid")
    title: Name
    kind: CodeSetKind = CodeSetKind.OWN
    standard: Name | None = None
    parent_set: Annotated[SetReference | None, Field(description="the set that holds the parents this one lacks")] = None
    leading_source: Annotated[Name | None, Field(description="decides what is in force; without one any source does")] = None
    codes: Annotated[list[str] | None, Field(min_length=1, max_length=domain.MAX_CODES)] = None
    entries: Annotated[list[EntryIn] | None, Field(min_length=1, max_length=domain.MAX_ENTRIES)] = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.codes is None) == (self.entries is None):
            raise ValueError("give either codes, a plain list, or entries")
        return self

    def about(self) -> About:
        """Return what the set is, beside its codes."""
        return About(self.title, self.kind, self.standard, self.parent_set, self.leading_source)

    def said(self) -> list[Entry]:
        """Return what it says of each code."""
        return [Entry(code) for code in self.codes] if self.codes is not None else [one.entry() for one in self.entries or []]

    def pointer(self, index: int, field: str) -> str:
        """Return the JSON pointer to a field of an entry."""
        return f"/codes/{index}" if self.codes is not None else f"/entries/{index}/{field}"


class CodeSetOut(BaseModel):
    """A version of a code set with the codes in force on a day; `organization_id` says whose the set is, null the node's."""

    model_config = ConfigDict(from_attributes=True)
    name: str
    organization_id: UUID | None
    retired_at: datetime | None
    version: int
    title: str
    kind: CodeSetKind
    standard: str | None
    parent_set: str | None
    leading_source: str | None
    codes_on: date
    codes: list[str]
    entry_count: int
    published_at: datetime
    published_by: str | None


class VersionHead(BaseModel):
    """A version of a code set, without its codes."""

    model_config = ConfigDict(from_attributes=True)
    version: int
    title: str
    codes_on: date
    entry_count: int
    published_at: datetime
    published_by: Annotated[str | None, Field(description="null: the calendar, when a code began or ended")]


class CodeSetSummary(BaseModel):
    """A code set, without its codes; `organization_id` says whose it is, null the node's."""

    model_config = ConfigDict(from_attributes=True)
    name: str
    version: int
    title: str
    kind: CodeSetKind
    code_count: int
    published_at: datetime
    organization_id: UUID | None
    retired_at: datetime | None
    retirement_reason: str | None


class Retirement(BaseModel):
    """Why a code set is taken out of use."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason


class RetiredOut(BaseModel):
    """A code set that was retired, and the resources in force whose items go on using it."""

    model_config = ConfigDict(from_attributes=True)
    code_set: CodeSetSummary
    used_by: list[UUID]


class EntryOut(BaseModel):
    """What a source says of a code."""

    model_config = ConfigDict(from_attributes=True)
    source: str
    label: str | None
    parent: str | None
    valid_from: date | None
    valid_until: date | None
    is_retired: bool
    successors: list[str]
    note: str | None


class CodeOut(BaseModel):
    """A code on a day, with what each source says of it."""

    code: str
    standing: Standing
    label: str | None
    parent: str | None
    successors: list[str]
    is_disputed: bool
    entries: list[EntryOut]


class WordOut(BaseModel):
    """What one source says on that day; `standing` null: it does not have the code."""

    model_config = ConfigDict(from_attributes=True)
    source: str
    standing: Standing | None
    label: str | None


class StepOut(BaseModel):
    """What a code became, or was: since when the one stands for the other (null: no source says)."""

    model_config = ConfigDict(from_attributes=True)
    code: str
    came_from: str
    label: str | None
    since: date | None
    standing: Standing


class Above(BaseModel):
    """A code above another."""

    code: str
    label: str | None


class CodeExplained(BaseModel):
    """What a code is on a day, and what became of it."""

    model_config = ConfigDict(from_attributes=True)
    code: str
    on: date
    standing: Standing
    label: str | None
    text: str
    is_disputed: bool
    sources: list[WordOut]
    became: list[StepOut]
    formerly: Annotated[list[StepOut], Field(description="the codes that became this one")]
    path: list[Above]
    entries: list[EntryOut]


class Difference(BaseModel):
    """What two versions say of a code; no entries: the version does not have it."""

    code: str
    before: list[EntryOut]
    after: list[EntryOut]


class Refused(BaseModel):
    """A row that was left out."""

    pointer: str
    detail: str


class Imported(BaseModel):
    """What came of a file: the version it made or confirmed, and the rows that were left out."""

    name: str
    version: int
    is_new: bool
    code_count: int
    entry_count: int
    refused_count: int
    refused: list[Refused]


class ShippedOut(BaseModel):
    """A code set that comes with the service."""

    name: str
    title: str
    kind: CodeSetKind
    standard: str | None
    source: str
    licence: str


def entries_out(entries: Sequence[Entry]) -> list[EntryOut]:
    """Return entries as they are answered."""
    return [EntryOut(**{name: getattr(entry, name) for name in EntryOut.model_fields}) for entry in entries]


def codes_out(
    row: store.CodeSetVersion, codes: Sequence[str], said: Mapping[str, Sequence[Entry]], sources: Sequence[str], day: date
) -> list[CodeOut]:
    """Return codes with how they stand on a day."""
    found = []
    for code in codes:
        state, deciding = decided(said[code], day, known_on=row.codes_on, leading_source=row.leading_source)
        shown = deciding or said[code][0]
        found.append(
            CodeOut(
                code=code,
                standing=state,
                label=shown.label,
                parent=shown.parent,
                successors=list(shown.successors),
                is_disputed=disputed(words_of(said[code], sources, day, known_on=row.codes_on)),
                entries=entries_out(said[code]),
            )
        )
    return found
