"""A catalogue of the size a city has: 78 publishers, 6,679 resources, 122,344 items of which 46,451 are shared.

The size is that of a city's catalogue of 2020 (72 departments and 6 counties). The words are real ones (catalog_words.json names
their sources and licences); which word stands where is drawn with a fixed seed, so that every run makes the same catalogue.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

RESOURCES, ITEMS, SHAREABLE_ITEMS = 6_679, 122_344, 46_451
DEPARTMENTS, COUNTIES = 72, 6
CITY, CITY_CODE = "绍兴市", "330600"
_SEED = 20200630
WORDS_FILE = Path(__file__).with_name("catalog_words.json")
_WORDS: dict[str, Any] = json.loads(WORDS_FILE.read_text(encoding="utf-8"))
_MEAN_ITEMS, _LEAST_ITEMS, _MOST_ITEMS = ITEMS / RESOURCES, 3, 90
_FULLY_SHARED_ITEMS = 38_000
_WEIGHTS = [pow(3, i, 31) for i in range(17)]
_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"

_SYSTEMS = ("综合业务系统", "行政审批系统", "监督检查系统", "统计直报系统")
_MEASURES = (("数量", "I"), ("金额", "Y"), ("面积", "N"), ("日期", "D"), ("等级", "C"), ("说明", "M"), ("代码", "C"), ("名称", "C"))
_CYCLES = ("REALTIME", "DAILY", "WEEKLY", "MONTHLY", "QUARTERLY", "HALF_YEARLY", "YEARLY", "IRREGULAR", "STATIC")
_FORMATS = (
    ("DATABASE", "MySQL", "DATABASE"),
    ("DATABASE", "Oracle", "DATABASE"),
    ("SPREADSHEET", "xlsx", "FILE"),
    ("SERVICE", "REST", "API"),
    ("ELECTRONIC_FILE", "pdf", "FILE"),
)
_THEMES = ("信用服务", "医疗卫生", "社保就业", "公共安全", "城建住房", "交通运输", "教育文化", "科技创新", "资源能源", "生态环境")
_BASES = (
    {"kind": "law", "title": "中华人民共和国统计法", "article": "第二十八条"},
    {"kind": "law", "title": "中华人民共和国个人信息保护法", "article": "第二十五条"},
    {"kind": "administrative_regulation", "title": "征信业管理条例", "article": "第十四条"},
)


@dataclass(frozen=True)
class Publisher:
    """An organization of the catalogue and the names of its systems."""

    name: str
    uscc: str
    level: str
    division_code: str
    kind: str
    systems: tuple[str, ...]

    def registration(self) -> dict[str, Any]:
        """Return what it is registered with; a public utility shows its licence."""
        named = {name: getattr(self, name) for name in ("name", "uscc", "level", "division_code", "kind")}
        return named | ({"licence": {"title": "特许经营许可", "number": self.uscc}} if self.kind == "public_utility" else {})


def uscc(number: int) -> str:
    """Return a valid unified social credit code (GB 32100, GB 11714) of a made-up registry."""
    body = f"{70_000_000 + number:08d}"
    check = 11 - sum(int(digit) * weight for digit, weight in zip(body, (3, 7, 9, 10, 5, 8, 4, 2), strict=True)) % 11
    code = "11330600" + body + {10: "X", 11: "0"}.get(check, str(check))
    return code + _ALPHABET[-sum(_ALPHABET.index(c) * w for c, w in zip(code, _WEIGHTS, strict=True)) % 31]


@cache
def publishers() -> tuple[Publisher, ...]:
    """Return the 72 departments of a city and its 6 counties, each with up to four systems."""
    assert len(_WORDS["offices"]) == DEPARTMENTS, "as many departments as the catalogue of 2020 had"
    assert len(_WORDS["counties"]) == COUNTIES, "and as many counties"
    named = [(CITY + office, "city", CITY_CODE) for office in _WORDS["offices"]]
    named += [(f"{CITY}{name}人民政府", "county", code) for code, name in _WORDS["counties"]]
    return tuple(
        Publisher(
            name=name,
            uscc=uscc(number),
            level=level,
            division_code=code,
            kind="public_utility" if name.endswith(("集团", "公司")) else "department",
            systems=tuple(f"{name.removeprefix(CITY)}{system}" for system in _SYSTEMS[: 1 + number % len(_SYSTEMS)]),
        )
        for number, (name, level, code) in enumerate(named)
    )


ASSESSMENTS: dict[str, dict[str, str]] = {
    "secrecy_risk": {"outcome": "passed", "assessed_by": "保密工作机构"},
    "personal_information": {"outcome": "passed", "assessed_by": "数据安全岗"},
}
"""What an approval rests on; of made-up resources it says nothing."""


@cache
def resources() -> tuple[tuple[Publisher, dict[str, Any]], ...]:
    """Return (publisher, entry) for every resource; an entry names its system by `system`, all else is as the catalogue takes it."""
    chance = random.Random(_SEED)
    counts = _item_counts(chance)
    shared = _shared_counts(chance, counts)
    owners = publishers()
    found = []
    taken: set[tuple[str, str]] = set()
    for number, (count, shareable) in enumerate(zip(counts, shared, strict=True)):
        owner = owners[number % len(owners)]
        name = _name(chance, owner, taken)
        found.append((owner, _entry(chance, owner, name, count, shareable)))
    return tuple(found)


def _item_counts(chance: random.Random) -> list[int]:
    """Return how many items each resource has: from 3 to 90, most below the mean, exactly as many in all as there should be."""
    counts = [min(max(round(chance.lognormvariate(0, 0.55) * _MEAN_ITEMS * 0.86), _LEAST_ITEMS), _MOST_ITEMS) for _ in range(RESOURCES)]
    while (missing := ITEMS - sum(counts)) != 0:
        step = 1 if missing > 0 else -1
        for at in chance.sample(range(RESOURCES), min(abs(missing), RESOURCES)):
            if _LEAST_ITEMS <= counts[at] + step <= _MOST_ITEMS:
                counts[at] += step
    return counts


def _shared_counts(chance: random.Random, counts: Sequence[int]) -> list[int]:
    """Return how many items of each resource are shared: all of some, a few of the others, exactly as many in all as there should be."""
    shared = [0] * len(counts)
    left = SHAREABLE_ITEMS
    order = chance.sample(range(len(counts)), len(counts))
    fully = []
    for at in order:
        if SHAREABLE_ITEMS - left >= _FULLY_SHARED_ITEMS:
            break
        shared[at] = counts[at]
        left -= counts[at]
        fully.append(at)
    others = sorted(set(order) - set(fully))
    while left:
        for at in chance.sample(others, min(left, len(others))):
            if shared[at] < counts[at] - 1:
                shared[at] += 1
                left -= 1
    return shared


def _name(chance: random.Random, owner: Publisher, taken: set[tuple[str, str]]) -> str:
    while True:
        subject = chance.choice(_WORDS["subjects"] if chance.random() < 0.7 else _WORDS["terms"])
        name: str = subject + chance.choice(_WORDS["kinds"])
        if (owner.uscc, name) not in taken:
            taken.add((owner.uscc, name))
            return name


def _items(chance: random.Random, count: int, shareable: int) -> list[dict[str, Any]]:
    common = chance.sample(_WORDS["common"], min(count, chance.randint(2, 10), len(_WORDS["common"])))
    drawn = [{"code": code, "name": name, "data_type": kind} for code, name, kind in common]
    terms = chance.sample(range(len(_WORDS["terms"])), count - len(drawn))
    named = {item["name"] for item in drawn}
    for at in terms:
        term = _WORDS["terms"][at]
        measure, kind = chance.choice([one for one in _MEASURES if term + one[0] not in named])
        named.add(term + measure)
        drawn.append({"code": f"t{at:04d}", "name": term + measure, "data_type": kind})
    hidden = set(chance.sample(range(count), count - shareable))
    for at, item in enumerate(drawn):
        if item["data_type"] == "C":
            item["length"] = chance.choice((20, 50, 100, 200))
        if at in hidden:
            item |= {"sharing_type": "NOT_SHARED", "open_type": "CLOSED"}
    return drawn


def _entry(chance: random.Random, owner: Publisher, name: str, count: int, shareable: int) -> dict[str, Any]:
    items = _items(chance, count, shareable)
    form, kind, mode = chance.choice(_FORMATS)
    entry: dict[str, Any] = {
        "system": chance.choice(owner.systems),
        "name": name,
        "summary": f"{owner.name}在履行职责过程中产生的{name},含{items[0]['name']}、{items[1]['name']}等{count}项。",
        "class_path": chance.choice(("1/01", "1/02/001", "2/05/003", "2/11/012", "3/30/102/01", "3/30/102/02", "3/33/600")),
        "items": items,
        "update_cycle": chance.choice(_CYCLES),
        "steward": "数据管理岗",
        "format_class": form,
        "format_type": kind,
    }
    if shareable < count:
        return entry | {
            "sharing_type": "NOT_SHARED",
            "non_sharing_basis": chance.choice(_BASES),
            "sharing_reason": "部分信息项依法不予共享",
        }
    entry |= {"sharing_channel": "PLATFORM", "sharing_mode": mode}
    if chance.random() < 0.4:
        return entry | {
            "sharing_type": "CONDITIONAL",
            "sharing_condition": "仅限本市行政机关办理相关事项时核对使用",
            "sharing_scope": "本市行政机关",
            "sharing_purposes": ["DATA_CHECKING"],
            "sharing_reason": "含有企业未公开的经营信息",
        }
    entry["sharing_type"] = "UNCONDITIONAL"
    if chance.random() < 0.4:
        entry |= {"open_type": "UNCONDITIONAL", "open_theme": chance.choice(_THEMES)}
    return entry
