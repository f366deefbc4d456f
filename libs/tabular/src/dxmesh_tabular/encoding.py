"""From the bytes of a text file to UTF-8, block by block: the encoding is declared, marked, or found out at the first wide character."""

import codecs
from pathlib import Path
from typing import BinaryIO

from dxmesh_schemas.problem import UnsupportedMedia

_BAD = "\udcff"  # stands where bytes were no character; comes out as bytes that are not UTF-8, so the line is refused by name
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_WIDER = {"gbk": "gb18030", "gb2312": "gb18030", "hz": "gb18030", "utf-16": "utf-16-le"}
_READ = ("utf-8", "utf-16-le", "utf-16-be", "gb18030", "cp1252", "iso8859-1", "ascii")
_SAMPLE_BYTES = 1 << 18


def _mark_bad(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return _BAD, error.end


codecs.register_error("dxmesh_mark", _mark_bad)


class Utf8Reader:
    """Reads a file as UTF-8 bytes.

    Bytes that are no character in the file's encoding come out as bytes that are not UTF-8. Without a declared encoding or a byte
    order mark a file is UTF-8, unless most of the lines around its first wide character are not: then it is GB 18030.
    """

    def __init__(self, path: Path, declared: str | None) -> None:
        self._file: BinaryIO = path.open("rb")
        self.encoding: str | None = None
        self._decoder: codecs.IncrementalDecoder | None = None
        head = self._file.read(4)
        mark, marked = next(((mark, name) for mark, name in _MARKS if head.startswith(mark)), (b"", None))
        self._file.seek(len(mark))
        if declared is not None:
            named = normal_name(declared)
            self._settle(marked if marked is not None and named.startswith("utf") else named)
        elif marked is not None:
            self._settle(marked)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, size: int) -> bytes:
        """Return about `size` bytes of the file as UTF-8; none at its end."""
        raw = self._file.read(size)
        if self.encoding is None and not raw.isascii():
            raw += self._file.read(_SAMPLE_BYTES)  # enough to judge by, however small the block
            self._settle(_guess(raw))
        if self._decoder is None:
            return raw
        text = self._decoder.decode(raw, final=not raw)
        while raw and not text:  # a block that ends within its only character
            raw = self._file.read(size)
            text = self._decoder.decode(raw, final=not raw)
        return text.encode("utf-8", "surrogatepass")

    def _settle(self, encoding: str) -> None:
        self.encoding = encoding
        if encoding not in ("utf-8", "ascii"):
            self._decoder = codecs.getincrementaldecoder(encoding)(errors="dxmesh_mark")


def normal_name(declared: str) -> str:
    """Return the codec of a declared encoding. Raises: UnsupportedMedia (415) for one that is not read here."""
    try:
        name = codecs.lookup(declared.strip().strip('"')).name
    except LookupError:
        name = ""
    name = _WIDER.get(name, name)
    if name not in _READ:
        known = "utf-8, utf-16, gb18030, gbk, cp1252, latin-1"
        raise UnsupportedMedia(f"the encoding {declared!r} is not read here; send one of: {known}", supported=known.split(", "))
    return name


def _guess(raw: bytes) -> str:
    """Tell UTF-8 from GB 18030 by the lines around the first byte that is not ASCII."""
    first = next(at for at in range(0, len(raw), 4096) if not raw[at : at + 4096].isascii())
    start = raw.rfind(b"\n", 0, first) + 1
    sample = raw[start : start + _SAMPLE_BYTES]
    if _decodes(sample, "utf-8"):
        return "utf-8"
    wide = [line for line in sample.splitlines() if not line.isascii()]
    as_utf8 = sum(_decodes(line, "utf-8") for line in wide)
    as_gb = sum(_decodes(line, "gb18030") for line in wide)
    return "gb18030" if as_gb > as_utf8 else "utf-8"


def _decodes(text: bytes, encoding: str) -> bool:
    """Say whether the bytes are of the encoding; the last character may be cut off."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(text)
    except UnicodeDecodeError:
        return False
    return True
