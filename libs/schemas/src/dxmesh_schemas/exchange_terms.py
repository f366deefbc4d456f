"""What a grant lets out of a resource: which rows, in which clearness, by which ways (政务数据共享条例 Art. 15, 20, 25)."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StringConstraints

from dxmesh_schemas.catalog import ItemCode, Snapshot

MOST_VALUES = 1000
"""Values that one condition may list."""
MOST_CONDITIONS = 50
Text = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Scalar = StrictBool | StrictInt | StrictFloat | Text
"""A value as a condition has it; dates, times and exact decimals may be written as text (ISO 8601, digits)."""


class _Term(Snapshot):
    """A part of a grant's terms; what it does not know it must not ignore."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    item: ItemCode


class Comparison(_Term):
    """The item's value stands so to this one; an empty value never does."""

    op: Literal["eq", "ne", "lt", "le", "gt", "ge"]
    value: Scalar


class Membership(_Term):
    """The item's value is one of these."""

    op: Literal["in"]
    values: tuple[Scalar, ...] = Field(min_length=1, max_length=MOST_VALUES)


class Prefix(_Term):
    """The item's text begins with one of these: a division's own area, or a class with all below it."""

    op: Literal["prefix"]
    values: tuple[Text, ...] = Field(min_length=1, max_length=MOST_VALUES)


class Period(_Term):
    """The item's date, or the day in China of its time, lies in this range, both days included."""

    op: Literal["period"]
    first: date | None = None
    last: date | None = None


Condition = Annotated[Comparison | Membership | Prefix | Period, Field(discriminator="op")]
Conditions = Annotated[tuple[Condition, ...], Field(max_length=MOST_CONDITIONS)]
"""A row filter: a row leaves when all conditions hold."""


class Keep(_Term):
    """Show the first and last characters only; a value too short to hide anything between them is hidden whole."""

    mask: Literal["keep"]
    prefix: int = Field(default=0, ge=0, le=100)
    suffix: int = Field(default=0, ge=0, le=100)


class Pseudonym(_Term):
    """A token in place of the value: the same for the same value within a grant, another in every other grant (keyed BLAKE2b, RFC 7693)."""

    mask: Literal["pseudonym"]


class GeneraliseDate(_Term):
    """The first day of the value's month, quarter, year or decade in place of the day; of a time, that day's beginning in China."""

    mask: Literal["date"]
    to: Literal["month", "quarter", "year", "decade"]


class GeneraliseNumber(_Term):
    """The lower border of the class of this width that the number falls in."""

    mask: Literal["number"]
    width: Decimal = Field(gt=0, le=10**15)


class GeneralisePlace(_Term):
    """The division code of the area above: its first digits, and noughts behind them (GB/T 2260)."""

    mask: Literal["place"]
    to: Literal["province", "city", "county"]


class Drop(_Term):
    """No value."""

    mask: Literal["drop"]


class Replace(_Term):
    """This text in place of every value there is."""

    mask: Literal["replace"]
    value: Annotated[str, StringConstraints(max_length=200)]


Mask = Annotated[Keep | Pseudonym | GeneraliseDate | GeneraliseNumber | GeneralisePlace | Drop | Replace, Field(discriminator="mask")]
Masks = Annotated[tuple[Mask, ...], Field(max_length=1000)]
"""At most one mask an item."""


class Mode(StrEnum):
    """The ways by which a grant's rows are had (GDSR Art. 22: service interface, batch exchange, file download)."""

    TOPIC = "topic"
    PULL = "pull"
    WEBHOOK = "webhook"
    FILE = "file"
    TABLE = "table"
    VERIFY = "verify"  # answers about rows, and never the rows


ROW_MODES = (Mode.TOPIC, Mode.PULL, Mode.WEBHOOK, Mode.FILE, Mode.TABLE)


class Backfill(Snapshot):
    """Which earlier batches a new grant gets: every one, none, or those accepted from a day on (in China)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    since: Literal["all", "none"] | date = "all"


class Terms(Snapshot):
    """What a grant allows beside its items."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    where: Conditions = ()
    masks: Masks = ()
    modes: tuple[Mode, ...] = Field(default=ROW_MODES, min_length=1)
    systems: tuple[UUID, ...] = Field(default=(), max_length=100, description="the requester's systems that may use it; none named: all")
    calls_per_minute: int | None = Field(default=None, ge=1, le=1_000_000, description="of pull and verify together; none: not limited")
    backfill: Backfill = Backfill()


class Narrowing(Snapshot):
    """What an answer leaves of what was asked for: filters hold beside those asked for, the rest takes their place where it is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    where: Conditions = ()
    masks: Masks | None = None
    modes: tuple[Mode, ...] | None = Field(default=None, min_length=1)
    systems: tuple[UUID, ...] | None = Field(default=None, max_length=100)
    calls_per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
