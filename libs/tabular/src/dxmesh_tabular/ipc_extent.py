"""How far the messages of an Arrow IPC stream inflate, read from their heads before any of it is in memory.

Source: Arrow columnar format 1.5, "Serialization and Interprocess Communication"; format/Message.fbs; FlatBuffers internals.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_MAX_HEAD_BYTES = 16 << 20
_CONTINUES = b"\xff\xff\xff\xff"
_END = struct.Struct("<i6s")
_BLOCKS = (2, 3)  # of dictionaries, of rows
_BLOCK = struct.Struct("<qi4xq")
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_BUFFER = struct.Struct("<qq")
_LENGTH = struct.Struct("<q")


@dataclass(frozen=True, slots=True)
class Extent:
    """What a message declares: rows, and the bytes of its columns once they are inflated."""

    row_count: int
    byte_count: int


class Malformed(ValueError):
    """The stream is not one of messages."""


def of_stream(file: BinaryIO) -> Iterator[Extent]:
    """Yield what each batch of a stream declares, of rows or of values that rows share. Raises: Malformed."""
    while (head := _head(file)) is not None:
        begun = file.tell()
        body_bytes, found = _message(file, head, begun)
        if found is not None:
            yield found
        file.seek(begun + body_bytes)


def of_file(file: BinaryIO) -> Iterator[Extent]:
    """Yield what each batch that a file's footer names declares, as `of_stream`. Raises: Malformed."""
    length = file.seek(0, 2)
    file.seek(max(length - _END.size, 0))
    try:
        footer_bytes, magic = _END.unpack(file.read(_END.size))
        if magic != b"ARROW1" or not 0 < footer_bytes <= min(length - _END.size, _MAX_HEAD_BYTES):
            raise Malformed("it does not end as an Arrow file does")
        file.seek(length - _END.size - footer_bytes)
        footer = file.read(footer_bytes)
        root = _table(footer, 0)
        blocks = [block for number in _BLOCKS for block in _structs(footer, _child(footer, root, number), _BLOCK)]
    except (struct.error, IndexError) as wrong:
        raise Malformed("it does not end as an Arrow file does") from wrong
    for offset, *_ in blocks:
        if not 0 <= offset < length:
            raise Malformed("a batch lies beside the file")
        file.seek(offset)
        head = _head(file)
        found = None if head is None else _message(file, head, file.tell())[1]
        if found is not None:
            yield found


def _head(file: BinaryIO) -> bytes | None:
    """Return the next message's head, None at the end of the stream."""
    start = file.read(4)
    if start == _CONTINUES:
        start = file.read(4)
    size = int.from_bytes(start, "little")
    if size == 0:
        return None
    if size > _MAX_HEAD_BYTES:
        raise Malformed("a message's head is larger than heads are")
    head = file.read(size)
    if len(head) < size:
        raise Malformed("a message is cut off")
    return head


def _message(file: BinaryIO, head: bytes, begun: int) -> tuple[int, Extent | None]:
    """Return the bytes of a message's body, which begins at `begun`, and what it declares, if it is a batch."""
    try:
        message = _table(head, 0)
        kind, data, body_bytes = _field(head, message, 1, "<B"), _child(head, message, 2), _field(head, message, 3, "<q")
        if body_bytes < 0:
            raise Malformed("a message has a body of less than nothing")
        if kind == _DICTIONARY_BATCH and data:
            data = _child(head, data, 1)
        is_batch = data and kind in (_DICTIONARY_BATCH, _RECORD_BATCH)
        return body_bytes, _extent(file, head, data, begun, body_bytes) if is_batch else None
    except (struct.error, IndexError, OverflowError) as wrong:
        raise Malformed("a message has no sound head") from wrong


def _extent(file: BinaryIO, head: bytes, batch: int, begun: int, body_bytes: int) -> Extent:
    """Add up the buffers of a batch; a compressed one begins with what it inflates to, -1 where it lies as it is."""
    is_compressed = bool(_child(head, batch, 3))
    total = 0
    for offset, length in _structs(head, _child(head, batch, 2), _BUFFER):
        if length < 0 or offset < 0 or offset + length > body_bytes:
            raise Malformed("a buffer lies beside its message")
        declared = length
        if is_compressed and length >= _LENGTH.size:
            file.seek(begun + offset)
            declared = max(_LENGTH.unpack(file.read(_LENGTH.size))[0], length)
        total += declared
    return Extent(_field(head, batch, 0, "<q"), total)


def _structs(head: bytes, vector: int, form: struct.Struct) -> Iterator[tuple[int, ...]]:
    count = struct.unpack_from("<I", head, vector)[0] if vector else 0
    if count * form.size > len(head):
        raise Malformed("a list is longer than the head it stands in")
    for place in range(count):
        yield form.unpack_from(head, vector + 4 + place * form.size)


def _table(head: bytes, place: int) -> int:
    """Return where the table is that an offset at `place` points to."""
    return place + int(struct.unpack_from("<I", head, place)[0])


def _at(head: bytes, table: int, number: int) -> int:
    """Return where a table's field is, 0 when it is left out."""
    entries = table - int(struct.unpack_from("<i", head, table)[0])
    if not 0 <= entries < len(head):
        raise Malformed("a message has no sound head")
    size = struct.unpack_from("<H", head, entries)[0]
    offset = struct.unpack_from("<H", head, entries + 4 + 2 * number)[0] if 4 + 2 * number < size else 0
    return table + int(offset) if offset else 0


def _field(head: bytes, table: int, number: int, form: str) -> int:
    place = _at(head, table, number)
    return int(struct.unpack_from(form, head, place)[0]) if place else 0


def _child(head: bytes, table: int, number: int) -> int:
    place = _at(head, table, number)
    return _table(head, place) if place else 0
