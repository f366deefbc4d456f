"""What a clock and a policy refuse."""

from collections.abc import Sequence

from dxmesh_schemas.problem import Conflict


class ClockRefused(Conflict):
    """A deadline's clock does not take this change now; `state` says how it stands."""

    slug, title = "clock-refused", "The deadline's state does not allow this"


class PolicyRefused(ValueError):
    """A policy cannot be used; `faults` are (JSON pointer, what is wrong and what to write)."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{pointer}: {what}" for pointer, what in faults))
        self.faults = tuple(faults)
