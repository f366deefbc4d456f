"""What results are counted and narrowed by."""

from collections.abc import Mapping

from catalog_svc.finding.entry import Entry, Taxonomy

FACETS = ("class_path", "organization", "level", "sharing_type", "open_type", "format", "theme", "taxonomy")


class Facets:
    """For each facet and value, the positions of the resources that have it."""

    def __init__(self) -> None:
        self._masks: dict[str, dict[str, int]] = {name: {} for name in FACETS}
        self._below: dict[str, set[str]] = {}
        self.taxonomies: Mapping[str, Taxonomy] = {}  # by code
        self._members: dict[str, int] | None = None  # put together when asked for, until something changes

    def put(self, bit: int, entry: Entry) -> None:
        """Note the values of a resource; it belongs to its class and to all above it."""
        values = {
            "organization": str(entry.organization.organization_id),
            "level": entry.organization.level,
            "sharing_type": entry.sharing_type,
            "open_type": entry.open_type,
            "format": entry.format,
            "theme": entry.theme,
        }
        for name, value in values.items():
            if value is not None:
                self._note(name, value, bit)
        for code in entry.taxonomies:
            self._note("taxonomy", code, bit)
            self._members = None
        above = ""
        for part in entry.class_path.split("/"):
            path = f"{above}/{part}" if above else part
            self._below.setdefault(above, set()).add(path)
            self._note("class_path", path, bit)
            above = path

    def _note(self, name: str, value: str, bit: int) -> None:
        masks = self._masks[name]
        masks[value] = masks.get(value, 0) | bit

    def mask(self, name: str, value: str) -> int:
        """Return what has a value."""
        return (self._belonging() if name == "taxonomy" else self._masks[name]).get(value, 0)

    def _belonging(self) -> Mapping[str, int]:
        """Return for each entry of a taxonomy what belongs to it or to one below it."""
        if self._members is not None:
            return self._members
        found: dict[str, int] = {}
        for code, mask in self._masks["taxonomy"].items():
            at: str | None = code
            while at is not None:
                found[at] = found.get(at, 0) | mask
                at = known.parent if (known := self.taxonomies.get(at)) is not None else None
        self._members = found
        return found

    def put_taxonomies(self, taxonomies: Mapping[str, Taxonomy]) -> None:
        """Hold the entries of taxonomies as they are now: one may come to stand elsewhere while no resource changes."""
        self.taxonomies, self._members = taxonomies, None

    def counts(self, mask: int, class_path: str | None) -> Mapping[str, list[tuple[str, int]]]:
        """Return value → count for every facet, most first; of classes, the one asked for and those one step below it."""
        counts: dict[str, list[tuple[str, int]]] = {}
        for name, values in self._masks.items():
            shown: Mapping[str, int] = values
            if name == "class_path":
                steps = self._below.get(class_path or "", set()) | ({class_path} if class_path in values else set())
                shown = {path: values[path] for path in steps}
            elif name == "taxonomy":
                shown = self._belonging()
            found = [(value, count) for value, of_value in shown.items() if (count := (of_value & mask).bit_count())]
            counts[name] = sorted(found, key=lambda pair: (-pair[1], pair[0]))
        return counts
