"""Code sets that come with the service: small lists under free licences; data/README.md names their sources."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files

from catalog_svc.code_set.domain import About
from catalog_svc.code_set.entry import CodeSetKind, Entry
from catalog_svc.code_set.errors import ShippedSetNotFound

_PUBLIC_CODING = "public-coding"
_STANDARD = "standard"


@dataclass(frozen=True, slots=True)
class Shipped:
    """A code set that can be put in force as it is."""

    name: str
    about: About
    source: str
    licence: str

    def entries(self) -> list[Entry]:
        """Return what the set says."""
        text = files("catalog_svc.code_set").joinpath("data", f"{self.name}.csv").read_text(encoding="utf-8")
        return [
            Entry(
                code=row["code"],
                source=self.source,
                label=row["label"],
                parent=row.get("parent") or None,
                valid_from=_day(row.get("valid_from")),
                valid_until=_day(row.get("valid_until")),
                is_retired=row.get("is_retired") == "true",
                successors=tuple((row.get("successors") or "").split()),
                note=row.get("note") or None,
            )
            for row in csv.DictReader(text.splitlines())
        ]


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _coded(name: str, title: str, kind: CodeSetKind, standard: str) -> Shipped:
    return Shipped(name, About(title, kind, standard), _PUBLIC_CODING, "MIT")


def _written(name: str, title: str, standard: str) -> Shipped:
    return Shipped(name, About(title, CodeSetKind.NATIONAL, standard), _STANDARD, "facts of a published standard")


SHIPPED: Sequence[Shipped] = (
    _coded("gb-t-2260.zhejiang", "浙江省县级以上行政区划代码（含已停用）", CodeSetKind.DIVISION, "GB/T 2260"),
    _written("gb-t-2261.1", "人的性别代码", "GB/T 2261.1-2003"),
    _written("gb-t-2261.2", "婚姻状况代码", "GB/T 2261.2-2003"),
    _coded("gb-t-3304", "中国各民族名称代码", CodeSetKind.NATIONAL, "GB/T 3304-1991"),
    _coded("gb-t-4754", "国民经济行业分类", CodeSetKind.INDUSTRY, "GB/T 4754-2017"),
    _coded("gb-t-4763", "党派代码", CodeSetKind.NATIONAL, "GB/T 4763-2008"),
    _coded("gb-t-6864", "中华人民共和国学位代码", CodeSetKind.NATIONAL, "GB/T 6864-2003"),
    _coded("iso-3166-1", "国家和地区代码", CodeSetKind.INTERNATIONAL, "ISO 3166-1"),
    _coded("iso-4217", "货币代码", CodeSetKind.INTERNATIONAL, "ISO 4217"),
)


def get(name: str) -> Shipped:
    """Return a shipped code set. Raises: ShippedSetNotFound (404)."""
    for one in SHIPPED:
        if one.name == name:
            return one
    raise ShippedSetNotFound(f"{name!r} is not shipped; there are: {', '.join(one.name for one in SHIPPED)}")
