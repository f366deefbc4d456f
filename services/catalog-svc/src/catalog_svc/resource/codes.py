"""How resource codes are made; provinces publish their own schemes (DB12/T 1233, DB15/T 1875, DB23/T 2838), so they are plugged in."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CodeScheme:
    """How resource codes are made. Numbers only count up, so a code is never given out twice, whatever became of its resource."""

    prefix: Callable[[str, str], str]  # class path, provider's uscc → 前段码, which counts its own numbers
    code: Callable[[str, int], str]  # prefix, number → resource code


def _national_prefix(class_path: str, _: str) -> str:
    kind, section, subsection, detail = (class_path.split("/") + ["00", "000", ""][class_path.count("/") :])[:4]
    return f"{kind}{section}{subsection}{detail}"


def _numbered(prefix: str, number: int) -> str:
    return f"{prefix}/{number:06d}"


NATIONAL = CodeScheme(prefix=_national_prefix, code=_numbered)
"""类(1) 项(2) 目(3) 细目, "/", 顺序码 of six digits or more (编制指南 section 4); a level that is left out is zeros."""
PROVIDER = CodeScheme(prefix=lambda _, uscc: uscc, code=_numbered)
"""The provider's unified social credit code, "/", 顺序码: the code says whose the resource is, and stays when it is classed anew."""
SCHEMES = {"national": NATIONAL, "provider": PROVIDER}
