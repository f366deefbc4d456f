"""How resource codes are made; provinces publish their own schemes (DB12/T 1233, DB15/T 1875, DB23/T 2838), so they are plugged in."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points

GROUP = "dxmesh.code_schemes"
"""The entry points by which an installed package brings a scheme of its own: a name, and a CodeScheme."""


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


def scheme_named(name: str) -> CodeScheme:
    """Return a scheme that comes along, or one that an installed package brings.

    Raises: ValueError for a name that is not there, for what is no scheme, and for one that gives a code twice.
    """
    brought = {point.name: point for point in entry_points(group=GROUP)}
    if name in SCHEMES:
        return SCHEMES[name]
    if name not in brought:
        raise ValueError(f"no code scheme is called {name!r} (RESOURCE__CODE_SCHEME); there are: {', '.join([*SCHEMES, *sorted(brought)])}")
    found = brought[name].load()
    if not isinstance(found, CodeScheme):
        raise ValueError(f"the code scheme {name!r} ({brought[name].value}) is a {type(found).__name__}, and must be a CodeScheme")
    prefix = found.prefix("3/30/102/01", "11330600MB1573660P")
    if found.code(prefix, 1) == found.code(prefix, 2):
        raise ValueError(f"the code scheme {name!r} gives {found.code(prefix, 1)!r} to two resources; its code must hold the number")
    return found
