"""What the resource's threshold makes of a batch."""

from fractions import Fraction

from dxmesh_schemas.quality import Outcome


def decide(received_count: int, bad_row_count: int, max_quarantined_ratio: float) -> tuple[Outcome, str]:
    """Return the outcome and its reason in a sentence.

    `max_quarantined_ratio` is 0 to 1 and inclusive; it is compared as the decimal it was written as, so 0.29 of 100 rows is 29.
    A batch of which nothing is left is rejected whatever the threshold. Raises: ValueError for counts that cannot be.
    """
    if received_count < 1 or not 0 <= bad_row_count <= received_count:
        raise ValueError(f"{bad_row_count} bad rows of {received_count} received")
    if bad_row_count == 0:
        return Outcome.ACCEPT, f"All {received_count} rows keep every rule"
    share = f"{bad_row_count} of {received_count} rows ({_percent(Fraction(bad_row_count, received_count))})"
    allowed = _percent(Fraction(repr(max_quarantined_ratio)))
    if bad_row_count == received_count:
        return Outcome.REJECT, f"{share} break rules, so nothing is left to accept: correct the rows and send a new batch"
    if Fraction(bad_row_count, received_count) > Fraction(repr(max_quarantined_ratio)):
        return Outcome.REJECT, f"{share} break rules; the resource allows {allowed}: correct the rows and send a new batch"
    return Outcome.ACCEPT_PART, f"{share} are quarantined; the resource allows {allowed}"


def _percent(ratio: Fraction) -> str:
    hundredths = f"{float(ratio * 100):.4g}"
    return f"{hundredths} %"
