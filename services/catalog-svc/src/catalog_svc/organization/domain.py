"""Rules of organizations: the unified social credit code and the division code."""

import re

_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
USCC = re.compile(r"[1-9ANY][0-9A-HJ-NPQRTUWXY][0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}")
_WEIGHTS = tuple(pow(3, place, 31) for place in range(17))
_INNER_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
DIVISION = re.compile(r"[0-9]{2}([0-9]{2}([0-9]{2}([0-9]{3}([0-9]{3})?)?)?)?")


def check_uscc(code: str) -> str:
    """Return a unified social credit code that keeps its rules. Raises ValueError saying what is wrong.

    Source: GB 32100-2015 section 5 and annex A (mod 31); GB 11714-1997 for positions 9 to 17 (mod 11).
    """
    if not USCC.fullmatch(code):
        raise ValueError("is not 18 of 0-9 A-Z without I O S V Z, in half-width capitals, positions 3 to 8 digits (GB 32100)")
    total = sum(_ALPHABET.index(character) * weight for character, weight in zip(code, _WEIGHTS, strict=False))
    expected = _ALPHABET[-total % 31]
    if code[17] != expected:
        raise ValueError(f"ends in {code[17]} where its check character is {expected} (GB 32100)")
    inner = -sum(int(character, 36) * weight for character, weight in zip(code[8:16], _INNER_WEIGHTS, strict=True)) % 11
    if code[16] != "0123456789X"[inner]:
        raise ValueError(
            f"has {code[16]} at position 17 where the organization code's check character is {'0123456789X'[inner]} (GB 11714)"
        )
    return code


def check_division_code(code: str) -> str:
    """Return a division code of 2, 4, 6, 9 or 12 ASCII digits (GB/T 2260, GB/T 10114). Raises ValueError."""
    if not DIVISION.fullmatch(code):
        raise ValueError("is not 2, 4, 6, 9 or 12 half-width digits")
    return code
