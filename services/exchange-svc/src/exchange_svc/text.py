"""Text that people write in requests: trimmed, not empty, and storable."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints


def _storable(value: str) -> str:
    if "\x00" in value:
        raise ValueError("holds the character U+0000, which no text may have: remove it")
    return value


Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000), AfterValidator(_storable)]
"""A reason, a purpose: up to 2,000 characters."""
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_storable)]
"""The name of a person or a unit: up to 200 characters."""
