"""Sets of positions as whole numbers, a bit each: intersections and counts of thousands of positions take microseconds."""

from collections.abc import Iterable

_FEW = 24
"""Up to so many positions are kept as a list: most grams are rare, and a mask takes a byte for every eight resources."""


def mask_of(positions: Iterable[int]) -> int:
    """Return positions as a mask."""
    found = list(positions)
    if len(found) < 16:
        mask = 0
        for position in found:
            mask |= 1 << position
        return mask
    room = bytearray((max(found) >> 3) + 1)
    for position in found:
        room[position >> 3] |= 1 << (position & 7)
    return int.from_bytes(room, "little")


def positions_of(mask: int) -> list[int]:
    """Return the positions of a mask, ascending."""
    bits = bin(mask)[:1:-1]
    found: list[int] = []
    at = bits.find("1")
    while at >= 0:
        found.append(at)
        at = bits.find("1", at + 1)
    return found


def first_of(mask: int) -> int:
    """Return the lowest position of a mask that has one."""
    return (mask & -mask).bit_length() - 1


class Postings:
    """For each gram, the positions it stands at."""

    def __init__(self) -> None:
        self._few: dict[str, list[int]] = {}
        self._many: dict[str, int] = {}

    def add(self, gram: str, position: int) -> None:
        """Note a position, once for each gram."""
        if (mask := self._many.get(gram)) is not None:
            self._many[gram] = mask | 1 << position
            return
        few = self._few.setdefault(gram, [])
        few.append(position)
        if len(few) > _FEW:
            self._many[gram] = mask_of(self._few.pop(gram))

    def mask(self, gram: str) -> int:
        """Return where a gram stands, 0 for nowhere."""
        if (mask := self._many.get(gram)) is not None:
            return mask
        return mask_of(self._few.get(gram, ()))

    def all_of(self, grams: Iterable[str], within: int) -> int:
        """Return the positions of `within` at which every one of these grams stands."""
        for gram in grams:
            if not within:
                break
            within &= self.mask(gram)
        return within

    def __len__(self) -> int:
        return len(self._few) + len(self._many)
