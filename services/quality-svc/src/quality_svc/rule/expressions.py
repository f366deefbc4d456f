"""Rules as polars expressions: which rows break a rule, how many values it looked at, and why in words."""

from datetime import date, datetime, timedelta, timezone
from functools import lru_cache

import polars as pl

from dxmesh_schemas.catalog import DataItem
from dxmesh_tabular import checks
from dxmesh_tabular.bounds import least, most
from dxmesh_tabular.items import polars_type
from dxmesh_tabular.texts import blank, longer, whole_match
from quality_svc.rule.domain import AT_INTAKE, Rule, RuleKind, listed, number
from quality_svc.rule.known import Facts, Referenced

FIRST_ROW = "first_row_"
"""Column that a repeated key's later rows carry: the row number of its first; null in every other row."""
SHOWN_CHARACTERS = 200
"""Longest piece of a value in reasons and in the column `value`."""
_MANY_ROWS = 8192  # from here on looking twice is cheaper than looking closely at every value
_CHINA = timezone(timedelta(hours=8))  # one zone all year


def broken(rule: Rule, facts: Facts, height: int) -> pl.Expr:
    """Return the mask of the rows, of a frame of so many, that break a rule; nulls break `required` only.

    Raises: ValueError for a kind found at intake.
    """
    if rule.kind is RuleKind.CODE_SET:
        return _outside_codes(rule.one, facts, height)
    if rule.kind is RuleKind.REFERENCE:
        return _unresolved(rule.one, facts, height)
    if rule.kind is RuleKind.RESIDENT_ID:
        return _no_resident_id(rule.one.code, facts.today or datetime.now(_CHINA).date())
    return _fixed(rule, height >= _MANY_ROWS)


@lru_cache(maxsize=1000)
def _no_resident_id(code: str, today: date) -> pl.Expr:
    return (~checks.is_resident_id(pl.col(code), today=today)).fill_null(value=False)


@lru_cache(maxsize=10_000)
def _fixed(rule: Rule, many: bool) -> pl.Expr:
    """Return the mask of a rule that needs nothing but the rows; built once per rule."""
    if rule.kind in AT_INTAKE:
        raise ValueError(f"{rule.kind} is found at intake, not in the rows")
    if rule.kind is RuleKind.UNIQUE:
        return pl.col(FIRST_ROW).is_not_null()
    item, column = rule.one, pl.col(rule.one.code)
    if rule.kind is RuleKind.REQUIRED:
        return blank(column, many=many) if item.data_type.is_text else column.is_null()
    if rule.kind is RuleKind.LENGTH:
        return longer(column, item.length or 0, many=many)
    return _wrong_value(rule.kind, item, column).fill_null(value=False)


def _wrong_value(kind: RuleKind, item: DataItem, column: pl.Expr) -> pl.Expr:
    match kind:
        case RuleKind.PATTERN:
            whole = whole_match(item.pattern or "")
            return column.is_not_null() if whole is None else ~column.str.contains(whole)
        case RuleKind.ENUMERATION:
            return ~column.is_in(list(item.enumeration or ()))
        case RuleKind.RANGE:
            return _outside_range(item, column)
        case RuleKind.USCC:
            return ~checks.is_uscc(column)
        case RuleKind.DIVISION:
            return ~checks.is_division_code(column)
    raise ValueError(f"{kind} has no fixed expression")


def _outside_range(item: DataItem, column: pl.Expr) -> pl.Expr:
    outside = [column < least(item)] if item.minimum is not None else []
    outside += [column > most(item)] if item.maximum is not None else []
    if polars_type(item).is_float():
        outside.append(column.is_nan())
    return pl.any_horizontal(outside)


def _outside_codes(item: DataItem, facts: Facts, height: int) -> pl.Expr:
    codes = facts.codes[item.code]
    column = pl.col(item.code) if item.data_type.is_text else pl.col(item.code).cast(pl.String)
    return column.is_not_null() if codes.known is None else codes.known.absent(column, height)


def _unresolved(item: DataItem, facts: Facts, height: int) -> pl.Expr:
    column = pl.col(item.code)
    absent = [known.absent(column, height) for known in facts.referenced[item.code].parts]
    return pl.all_horizontal(absent) if absent else column.is_not_null()


def value(rule: Rule) -> pl.Expr:
    """Return the value at fault as text, cut to 200 characters; a key of several items as its values joined by a comma."""
    parts = [pl.col(code).cast(pl.String) for code in rule.columns]
    whole = parts[0] if len(parts) == 1 else pl.concat_str(parts, separator=", ", ignore_nulls=True)
    return whole.str.slice(0, SHOWN_CHARACTERS)


def reason(rule: Rule, facts: Facts) -> pl.Expr:
    """Return why a row breaks the rule, as a sentence for its sender."""
    kind = rule.kind
    if kind is RuleKind.UNIQUE:
        key = pl.lit(f"the key ({', '.join(rule.columns)}) ")
        return pl.concat_str(
            key,
            _quoted(rule),
            pl.lit(" already stands in row "),
            pl.col(FIRST_ROW).cast(pl.String),
            pl.lit("; a key may come once in a batch"),
        )
    item = rule.one
    if kind is RuleKind.REQUIRED:
        return pl.lit(f"{item.code} is empty; every row needs it")
    if kind is RuleKind.RESIDENT_ID:  # the number itself stays out of sentences: it names a person
        return pl.lit(f"{item.code} is not a resident identity number (GB 11643): form, birth date or check digit is wrong")
    if kind is RuleKind.LENGTH:
        length = pl.col(item.code).str.len_chars().cast(pl.String)
        return pl.concat_str(pl.lit(f"{item.code} has "), length, pl.lit(f" characters; at most {item.length} are allowed"))
    return pl.concat_str(pl.lit(f"{item.code} is "), _quoted(rule), pl.lit(_complaint(kind, item, facts)))


def _quoted(rule: Rule) -> pl.Expr:
    return pl.concat_str(pl.lit("'"), value(rule), pl.lit("'"))


def _complaint(kind: RuleKind, item: DataItem, facts: Facts) -> str:
    if kind is RuleKind.PATTERN:
        if whole_match(item.pattern or "") is None:
            return (
                f", and the resource's pattern {item.pattern} cannot be run (look-around and back-references are not supported): "
                "its provider must correct the resource"
            )
        return f", which does not match {item.pattern} as a whole"
    if kind is RuleKind.ENUMERATION:
        return f", which is none of: {listed(item.enumeration or ())}"
    if kind is RuleKind.RANGE:
        return f"; allowed is {_allowed(item)}"
    if kind is RuleKind.CODE_SET:
        return _codes_complaint(item, facts)
    if kind is RuleKind.REFERENCE:
        return _reference_complaint(facts.referenced[item.code])
    if kind is RuleKind.USCC:
        return ", which is not a unified social credit code (GB 32100): form or check character is wrong"
    return ", which has not the form of a division code (GB/T 2260: 2, 4, 6, 9 or 12 digits)"


def _allowed(item: DataItem) -> str:
    if item.minimum is not None and item.maximum is not None:
        return f"{number(item.minimum)} to {number(item.maximum)}"
    return f"{number(item.minimum)} or more" if item.minimum is not None else f"{number(item.maximum)} or less"


def _codes_complaint(item: DataItem, facts: Facts) -> str:
    codes = facts.codes[item.code]
    version = f"version {codes.version} of " if codes.version else ""
    if codes.known is None:
        return f", and {version}the code set {codes.name} is not published on this node yet: publish it and send the row again"
    return f", which is no code of {version}the code set {codes.name}"


def _reference_complaint(referenced: Referenced) -> str:
    if referenced.missing is not None:
        return f", and {referenced.missing}: the row can be sent again once it does"
    return f", which the item {referenced.item} of {referenced.resource} does not hold"
