"""Which column of a file is which item: by code, else by name; anything else is a fault of the whole file."""

from collections import Counter
from collections.abc import Sequence

from dxmesh_schemas.catalog import DataItem
from dxmesh_schemas.problem import Invalid

_SHOWN = 20  # of the resource's items named in a message


def match(headers: Sequence[str], items: Sequence[DataItem], needed: Sequence[str] | None) -> list[DataItem]:
    """Return the item of each column, in the file's order.

    A header is an item's code or, failing that, its name (blanks around it ignored). `needed`: item codes that must be there,
    None for every required item. Raises: Invalid (422) naming every unknown, doubled and missing column.
    """
    matched: list[DataItem] = []
    errors: list[dict[str, str]] = []
    seen: dict[str, int] = {}
    known = Names(items)
    for place, header in enumerate(headers):
        item = known.find(header)
        if item is None:
            errors.append({"pointer": f"/columns/{place}", "detail": _unknown(header)})
        elif item.code in seen:
            errors.append(
                {
                    "pointer": f"/columns/{place}",
                    "detail": f"column {header!r} is there twice: item {item.code} is column {seen[item.code] + 1} already",
                }
            )
        else:
            seen[item.code] = place
            matched.append(item)
    wanted = [item.code for item in items if item.required] if needed is None else list(needed)
    errors += [
        {"pointer": f"/items/{code}", "detail": f"the column of item {_title(code, items)} is missing"}
        for code in wanted
        if code not in seen
    ]
    if errors:
        titles = ", ".join(_title(item.code, items) for item in items[:_SHOWN]) + (", …" if len(items) > _SHOWN else "")
        raise Invalid(f"The columns of the file are not those of the resource. Its items are: {titles}", errors=errors)
    return matched


class Names:
    """The items of a resource by what a header may call them: the code or, where only one item has it, the name."""

    def __init__(self, items: Sequence[DataItem]) -> None:
        names = Counter(item.name for item in items)
        self._items = {item.name: item for item in items if names[item.name] == 1} | {item.code: item for item in items}

    def find(self, header: str) -> DataItem | None:
        """Return the item a header means, blanks around it ignored, or None."""
        return self._items.get(header.strip().lstrip("\ufeff"))


def _unknown(header: str) -> str:
    if not header.strip():
        return "a column without a name"
    shown = header if len(header) <= 100 else header[:100] + "…"
    return f"column {shown!r} is no item of the resource"


def _title(code: str, items: Sequence[DataItem]) -> str:
    name = next((item.name for item in items if item.code == code), code)
    return code if name == code else f"{code} ({name})"
