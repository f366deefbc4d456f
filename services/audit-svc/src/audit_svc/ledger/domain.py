"""The ledger's arithmetic: what must add up; no input or output."""

from collections.abc import Iterable
from typing import Protocol


class BatchCounts(Protocol):
    """A batch as the ledger knows it; None is not known yet."""

    @property
    def received_count(self) -> int | None: ...
    @property
    def accepted_count(self) -> int | None: ...
    @property
    def quarantined_count(self) -> int | None: ...
    @property
    def rejected_count(self) -> int | None: ...


class DeliveryCounts(Protocol):
    """A delivery as the ledger knows it; None is not known yet."""

    @property
    def ordered_count(self) -> int | None: ...
    @property
    def delivered_count(self) -> int | None: ...
    @property
    def withheld_count(self) -> int | None: ...
    @property
    def filtered_count(self) -> int | None: ...


def is_decided(batch: BatchCounts) -> bool:
    """Say whether the batch was accepted or rejected."""
    return batch.accepted_count is not None or batch.rejected_count is not None


def in_flight(delivery: DeliveryCounts) -> int:
    """Return the rows that are ordered and not delivered."""
    return 0 if delivery.delivered_count is not None else delivery.ordered_count or 0


def is_balanced(batch: BatchCounts, deliveries: Iterable[DeliveryCounts]) -> bool:
    """Say whether nothing is missing and nothing is too much.

    Once decided: received = accepted + quarantined + rejected; per view: accepted = ordered = delivered + withheld + filtered + in flight.
    What is not known yet contradicts nothing: events of different topics arrive in any order.
    """
    if is_decided(batch) and batch.received_count is not None:
        parts = (batch.accepted_count or 0) + (batch.quarantined_count or 0) + (batch.rejected_count or 0)
        if parts != batch.received_count:
            return False
    for delivery in deliveries:
        if is_decided(batch) and delivery.ordered_count not in (None, batch.accepted_count or 0):
            return False
        if delivery.delivered_count is not None:
            held_back = (delivery.withheld_count or 0) + (delivery.filtered_count or 0)
            if delivery.delivered_count + held_back != delivery.ordered_count:
                return False
    return True
