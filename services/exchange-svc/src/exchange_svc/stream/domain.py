"""Rules of streams: where lines are cut into micro-batches, and what each batch is called."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID, uuid5

from exchange_svc.stream.errors import LineTooLong, StreamGap

_BATCH_IDS = UUID("5b0c1f7a-6f0e-5a55-9b57-6d6573680002")
_SLACK_BYTES = 1 << 20


def batch_id_of(provider_id: UUID, resource_id: UUID, stream_id: UUID, number: int) -> UUID:
    """Return the id of a stream's micro-batch; numbers begin at 1."""
    return uuid5(_BATCH_IDS, f"{provider_id}/{resource_id}/{stream_id}/{number}")


def passed_over(from_row: int, row_count: int) -> int:
    """Return how many of the rows that are sent again are there already. Raises: StreamGap (409)."""
    if from_row > row_count:
        raise StreamGap(
            f"from_row is {from_row}, {row_count} rows of the stream are there: send from row {row_count} on, or earlier",
            next_row=row_count,
        )
    return row_count - from_row


@dataclass(frozen=True, slots=True)
class Cut:
    """Whole lines that become one batch; blank ones do not count."""

    content: bytes
    row_count: int


class Cutter:
    """Cuts what comes into batches of at most `rows` rows and `byte_count` bytes; passes over the first `skip` rows."""

    def __init__(self, rows: int, byte_count: int, skip: int) -> None:
        self._most_rows, self._most_bytes, self._skip = rows, byte_count, skip
        self._buffer = bytearray()
        self._begin = self._end = 0  # of the whole lines that wait
        self._rows = 0

    @property
    def waits(self) -> bool:
        """Say whether there are whole rows that no batch has yet."""
        return self._rows > 0

    def feed(self, piece: bytes) -> Iterator[Cut]:
        """Take in what came; yield the batches that are full. Raises: LineTooLong (413)."""
        self._buffer += piece
        while (newline := self._buffer.find(b"\n", self._end)) >= 0:
            yield from self._line(newline + 1)
        if len(self._buffer) - self._end > self._most_bytes:
            raise self._too_long()
        if self._begin > _SLACK_BYTES:
            self._drop()

    def finish(self) -> Iterator[Cut]:
        """Yield what is left when nothing more comes; the last line may have no end. Raises: LineTooLong (413)."""
        if len(self._buffer) > self._end:
            yield from self.feed(b"\n")
        yield from self.flush()

    def flush(self) -> Iterator[Cut]:
        """Yield the rows that wait, if there are any."""
        if self._rows:
            yield Cut(bytes(self._buffer[self._begin : self._end]), self._rows)
            self._begin, self._rows = self._end, 0
            self._drop()

    def _line(self, end: int) -> Iterator[Cut]:
        line = self._buffer[self._end : end]
        if not line.strip():  # blank lines keep a connection awake
            self._end = end
            if not self._rows:
                self._begin = end
            return
        if self._skip:
            self._skip -= 1
            self._begin = self._end = end
            return
        if len(line) > self._most_bytes:
            raise self._too_long()
        if end - self._begin > self._most_bytes and self._rows:
            length = end - self._end
            yield from self.flush()
            end = self._end + length
        self._end = end
        self._rows += 1
        if self._rows >= self._most_rows:
            yield from self.flush()

    def _drop(self) -> None:
        del self._buffer[: self._begin]
        self._end -= self._begin
        self._begin = 0

    def _too_long(self) -> LineTooLong:
        return LineTooLong(
            f"a line has more than {self._most_bytes} bytes, which is what a micro-batch may have; "
            "raise `bytes`, or push the row as a file",
            max_bytes=self._most_bytes,
        )
