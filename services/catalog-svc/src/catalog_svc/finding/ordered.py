"""Orders that are kept while resources come and go: of results, and of resource codes."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from itertools import islice


class Ordered:
    """Numbers in ascending order, each the order of a resource that is held."""

    def __init__(self, position_of: Callable[[int], int]) -> None:
        self._orders: list[int] = []
        self._position_of = position_of

    def __len__(self) -> int:
        return len(self._orders)

    def add(self, order: int) -> None:
        """Take a number in."""
        insort(self._orders, order)

    def remove(self, order: int) -> None:
        """Leave a number out again."""
        del self._orders[bisect_left(self._orders, order)]

    def first(self, mask: int, count: int, behind: int) -> list[int]:
        """Return the first numbers above one whose positions are in the mask, by walking through all: quick where the mask is dense."""
        room = mask.to_bytes((mask.bit_length() + 7) // 8 or 1, "little")
        found: list[int] = []
        for order in islice(self._orders, bisect_right(self._orders, behind), None):
            position = self._position_of(order)
            if position >> 3 < len(room) and room[position >> 3] >> (position & 7) & 1:
                found.append(order)
                if len(found) == count:
                    break
        return found


class Codes:
    """Resource codes and the positions they stand at."""

    def __init__(self) -> None:
        self._codes: list[tuple[str, int]] = []

    def add(self, code: str, position: int) -> None:
        """Take a code in."""
        insort(self._codes, (code, position))

    def remove(self, code: str, position: int) -> None:
        """Leave a code out again."""
        del self._codes[bisect_left(self._codes, (code, position))]

    def beginning(self, text: str) -> tuple[list[int], list[int]]:
        """Return the positions of the code itself, and of the codes that begin with it."""
        exact: list[int] = []
        starting: list[int] = []
        for code, position in islice(self._codes, bisect_left(self._codes, (text, -1)), None):
            if not code.startswith(text):
                break
            (exact if code == text else starting).append(position)
        return exact, starting
