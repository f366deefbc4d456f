"""A view's rows: those its filter lets pass, its items only, masked."""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

import polars as pl

from dxmesh_schemas.exchange_terms import Condition, Mask, Pseudonym
from exchange_svc.enforcement.filters import passes
from exchange_svc.enforcement.masks import masked

TokenKeys = Callable[[UUID | None], bytes]
"""The key of a scope's pseudonyms; a view without pseudonyms has no scope."""


class Enforced(Protocol):
    """What of a view is enforced."""

    @property
    def where(self) -> tuple[Condition, ...]: ...
    @property
    def masks(self) -> tuple[Mask, ...]: ...
    @property
    def scope(self) -> UUID | None: ...


def token_keys(secret: bytes) -> TokenKeys:
    """Return the keys of pseudonyms under a node's secret: whoever has not the secret finds no key, not even from another key of it."""

    def key(scope: UUID | None) -> bytes:
        return b"" if scope is None else hmac.digest(secret, b"dxmesh pseudonym\n" + scope.bytes, hashlib.sha256)

    return key


def passing(frame: pl.DataFrame, view: Enforced) -> pl.DataFrame:
    """Return the rows that leave, as they are. Frame: n_rows × at least the items the view's conditions name."""
    return frame.filter(passes(view.where, frame.schema)) if view.where else frame


def mask(frame: pl.DataFrame, view: Enforced, keys: TokenKeys, *, besides: Sequence[str] = ()) -> pl.DataFrame:
    """Return rows with what is shown in place of the values of masked items; a mask of an item the frame has not does nothing.

    besides: items that are masked already.
    """
    # a column without any value has nothing to hide, and in a table that lacks the item it is of no type a mask would take
    valued = {name for name in frame.columns if frame[name].null_count() < frame.height}
    todo = [one for one in view.masks if one.item in valued and one.item not in besides]
    key = keys(view.scope) if any(isinstance(one, Pseudonym) for one in todo) else b""
    return frame.with_columns(masked(one, frame.schema[one.item], key).alias(one.item) for one in todo) if todo else frame


def enforce(frame: pl.DataFrame, view: Enforced, keys: TokenKeys) -> pl.DataFrame:
    """Return the rows that leave, masked: conditions look at the values as they are."""
    return mask(passing(frame, view), view, keys)


def names_rows(key: Sequence[str], masks: Sequence[Mask]) -> bool:
    """Say whether a business key still names one row each behind the masks: a pseudonym does, everything else may make keys alike."""
    hidden = {one.item for one in masks if not isinstance(one, Pseudonym)}
    return hidden.isdisjoint(key)
