"""When two items are the same data element: names brought to one form and compared, with type, form, code set, unit and length."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from catalog_svc.matching import words
from dxmesh_schemas.catalog import DataItem, DataType

SAME = 0.9
"""From here on two items are one data element."""
DOUBTFUL = 0.6
"""From here on a person should look."""
MAX_NAME = 200
_SAME_SUBJECT = 0.6
_KEPT_NAMES = 8192

_BRACKETS = re.compile(r"[(\[{〔【《<]([^()\[\]{}〔〕【】《》<>]*)[)\]}〕】》>]")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NOT_NAME = re.compile(r"[^\w%‰㎡℃μ/]|_")
_BLANKS = re.compile(r"(?<![a-z0-9]) +| +(?![a-z0-9])")
_LEGAL_PERSON = re.compile(r"法人(?=姓名|名字|身份|证件|电话|联系|手机|性别)")
_UNIT_GROUP = {unit: number for number, group in enumerate(words.UNITS) for unit in group}
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Mn"}
_HEADS = sorted(words.HEADS, key=len, reverse=True)
_LETTERS = str.maketrans(words.TRADITIONAL)
_LOOKALIKES = str.maketrans(words.LOOKALIKES)


class Verdict(StrEnum):
    """What a comparison says."""

    SAME = "same"
    DOUBTFUL = "doubtful"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Name:
    """An item's name in the form names are compared by."""

    plain: str  # as written, but for width, script, punctuation, bracketed notes
    key: str  # after synonyms: equal keys are one name
    head: str  # the representation term or known element it ends in; empty when there is none
    qualifier: str  # what stands before the head
    unit: str = ""

    @property
    def is_technical(self) -> bool:
        """Say whether it names what keeps a table rather than what a department knows."""
        return not self.plain or self.plain in words.TECHNICAL or self.key in words.TECHNICAL

    @property
    def is_bare(self) -> bool:
        """Say whether it leaves open whose value it is (名称, 地址)."""
        return self.key in words.BARE

    @property
    def tokens(self) -> tuple[str, ...]:
        """Return what an inverted index finds like names by: bigrams of what stands before the head, each with the head."""
        body = self.qualifier if self.head else self.key
        related = {f"{self.head}~{number}" for number, group in enumerate(words.RELATED) if any(word in body for word in group)}
        return tuple(sorted({f"{self.head}|{gram}" for gram in _grams(body)} | related))

    @property
    def kin(self) -> tuple[str, ...]:
        """Return other keys that may mean the same: with and without a representation term at the end, and the head alone."""
        found = {self.head, self.qualifier, *(self.key + head for head in words.LEFT_OUT)}
        if self.head in ("代码", "编号"):
            found |= {self.qualifier + head for head in ("代码", "编号")}
        return tuple(sorted(found - {"", self.key}))


@dataclass(frozen=True, slots=True)
class Element:
    """An item as it is compared."""

    name: Name
    kind: str | None = None  # text, number, date, logical; None when not known
    format: str | None = None
    code_set: str | None = None
    length: int | None = None
    subject: str | None = None  # the name of the resource or form it stands in


@dataclass(frozen=True, slots=True)
class Match:
    """How alike two items are, and why."""

    similarity: float
    verdict: Verdict
    reasons: tuple[str, ...]


class Lexicon:
    """Synonyms: the shipped ones, and those of a node on top (term → what it means; a term that means itself is taken out)."""

    def __init__(self, own: Mapping[str, str] | None = None) -> None:
        means = {term: group[0] for groups in (words.WORDS, words.SYNONYMS) for group in groups for term in group}
        means |= dict.fromkeys(words.DROPPED, "")
        self._means, self._longest = means, max(map(len, means))
        elements = {group[0] for group in words.SYNONYMS}
        # what a term means is brought by the shipped words alone: the node's own never lead from one to the next
        brought = {term: self._brought(concept)[0] if concept != term else term for term, concept in (own or {}).items()}
        self._means = means | brought
        self._longest = max(map(len, self._means))
        self._elements = sorted(elements | {concept for concept in brought.values() if concept}, key=len, reverse=True)
        self._named = lru_cache(maxsize=_KEPT_NAMES)(self._name)  # the items of a catalogue share few names

    def name(self, text: str) -> Name:
        """Return a name in the form names are compared by; any text will do, also an empty one."""
        return self._named(text[:MAX_NAME])

    def _name(self, text: str) -> Name:
        plain, unit = normalized(text)
        key, is_known = self._brought(_LEGAL_PERSON.sub("法定代表人", plain))
        if not is_known and (ended := _ending(key)) != key:
            key, _ = self._brought(ended)
        head = next((head for heads in (_HEADS, self._elements) for head in heads if key.endswith(head)), "")
        return Name(plain, key, head, key[: len(key) - len(head)], unit)

    def element(
        self,
        name: str,
        *,
        kind: str | None = None,
        form: str | None = None,
        code_set: str | None = None,
        length: int | None = None,
        subject: str | None = None,
    ) -> Element:
        """Return an item as it is compared; a checked form tells what a number that is only called so really is."""
        found = self.name(name)
        concept = words.FORMATS.get(form or "")
        if concept is not None and (found.head in ("编号", "证件号码") or found.key == "代码"):
            found = replace(self.name(found.qualifier + concept), plain=found.plain, unit=found.unit)
        return Element(found, kind, form, code_set, length, subject)

    def of_item(self, item: DataItem, subject: str | None = None) -> Element:
        """Return a catalogued item as it is compared; `subject` is the name of its resource."""
        return self.element(
            item.name,
            kind=kind_of(item.data_type),
            form=item.format.value if item.format else None,
            code_set=item.code_set.name if item.code_set else None,
            length=item.length,
            subject=subject,
        )

    def _brought(self, plain: str) -> tuple[str, bool]:
        """Return a name with its known words brought to their synonyms, the longest first, and whether it ends in a known one."""
        found: list[str] = []
        place, is_known = 0, False
        while place < len(plain):
            for size in range(min(self._longest, len(plain) - place), 0, -1):
                meaning = self._means.get(plain[place : place + size])
                # a single character is a word of its own only when nothing else is there, or when it adds nothing
                if meaning is not None and (size > 1 or meaning == "" or len(plain) == 1):
                    found.append(meaning)
                    place, is_known = place + size, True
                    break
            else:
                found.append(plain[place])
                place, is_known = place + 1, False
        return "".join(found) or plain, is_known


def kind_of(data_type: DataType) -> str:
    """Return the kind of value a type holds: text, number, date or logical."""
    if data_type.is_text:
        return "text"
    if data_type in (DataType.DATE, DataType.DATETIME):
        return "date"
    return "logical" if data_type is DataType.LOGICAL else "number"


def normalized(text: str) -> tuple[str, str]:
    """Return a name without differences that nobody sees or means, and the unit that stood in it.

    Full and half width, case, traditional characters, look-alike letters, zero-width characters, punctuation, blanks, notes in
    brackets and units are taken out or made alike (NFKC, Unicode Annex 15).
    """
    seen = "".join(character for character in text[:MAX_NAME] if unicodedata.category(character) not in _UNSEEN)
    form = _CAMEL.sub(" ", unicodedata.normalize("NFKC", seen)).casefold().translate(_LETTERS)
    if re.search("[a-z]", form):
        form = form.translate(_LOOKALIKES)
    unit, before = "", ""
    while (found := _BRACKETS.search(form)) is not None:
        inner = found.group(1).strip()
        if (known := _unit(inner)) is not None:
            unit = known
        elif not _is_note(inner):
            before += inner
        form = form[: found.start()] + form[found.end() :]
    body, _, last = form.rpartition("/")
    if body and (known := _unit(last)) is not None:
        form, unit = body, known
    form = _BLANKS.sub("", _NOT_NAME.sub(" ", before + form).strip())
    return form.replace("/", ""), unit


def compare(left: Element, right: Element) -> Match:
    """Say how alike two items are: 0 to 1, the verdict of the thresholds, and what counted for and against."""
    if not left.name.key or not right.name.key:
        return Match(0.0, Verdict.DIFFERENT, ("a name is empty",))
    if left.name.is_technical or right.name.is_technical:
        return Match(0.0, Verdict.DIFFERENT, ("a name of what keeps a table, not of what a department knows",))
    score, reason = _names(left.name, right.name)
    reasons = [reason]
    for factor, why in _attributes(left, right, alike=score >= DOUBTFUL):
        score *= factor
        reasons.append(why)
    agreed = _agreement(left, right)
    if agreed and score >= DOUBTFUL:
        score = min(1.0, score + 0.15)
        reasons.append(agreed)
    elif left.name.is_bare and left.name.key == right.name.key and score >= SAME and not _same_subject(left, right):
        score = 0.85
        reasons.append("the name does not say whose it is")
    score = round(score, 3)
    verdict = Verdict.SAME if score >= SAME else Verdict.DOUBTFUL if score >= DOUBTFUL else Verdict.DIFFERENT
    return Match(score, verdict, tuple(reasons))


def _same_subject(left: Element, right: Element) -> bool:
    return bool(left.subject and right.subject) and _dice(left.subject or "", right.subject or "") >= _SAME_SUBJECT


def _unit(text: str) -> str | None:
    inner = text.strip().removeprefix("单位").lstrip(":： ").strip()
    return inner if inner in _UNIT_GROUP else None


def _is_note(inner: str) -> bool:
    return (
        not inner
        or not re.search(r"[^\W\d_a-z]", inner)
        or inner.startswith(words.NOTES)
        or "、" in inner
        or (len(inner) > 2 and inner.endswith(words.HEADS))  # another name of the same thing
        or inner.endswith(("位", "填", "选", "格式"))
        or len(inner) > 12
    )


def _ending(key: str) -> str:
    """Bring the last characters to a representation term."""
    for ending, term, not_after in words.ENDINGS:
        body = key[: -len(ending)]
        if key.endswith(ending) and body and body[-1] not in not_after:
            return body + term
    return key


def _grams(text: str) -> set[str]:
    return {text[place : place + 2] for place in range(len(text) - 1)} if len(text) > 1 else {text}


def _dice(left: str, right: str) -> float:
    """Return the Dice coefficient of the bigrams of two texts (Dice 1945)."""
    first, second = _grams(left), _grams(right)
    return 2 * len(first & second) / (len(first) + len(second))


def _names(left: Name, right: Name) -> tuple[float, str]:
    if left.plain == right.plain:
        return 1.0, "the same name"
    if left.key == right.key:
        return 0.97, f"the same name by synonyms: {left.plain} = {right.plain}"
    if left.head and left.head == right.head:
        return _same_head(left, right)
    shorter, longer = sorted((left, right), key=lambda name: len(name.key))
    if longer.qualifier == shorter.key and longer.head in words.LEFT_OUT:
        return 0.8, f"one says {longer.head}, the other leaves it open: {shorter.key}"
    if left.qualifier and left.qualifier == right.qualifier and {left.head, right.head} == {"代码", "编号"}:
        return 0.8, "a code and a number of the same thing"
    if not shorter.head and len(shorter.key) > 1 and longer.key.endswith(shorter.key):
        return 0.65, f"one says whose {shorter.key} it is, the other does not"
    if left.head and right.head:
        return 0.25, f"one is a {left.head}, the other a {right.head}"
    if _told_apart(left.key, right.key):
        return 0.3, "words that tell them apart"
    return 0.85 * _dice(left.key, right.key), "characters in common"


def _same_head(left: Name, right: Name) -> tuple[float, str]:
    first, second = left.qualifier, right.qualifier
    if not first or not second:
        return 0.65, f"one says whose {left.head} it is, the other does not"
    if _told_apart(first, second):
        return 0.3, "words that tell them apart"
    one, other = _rest(first, second)
    if any(_within(one, group) and _within(other, group) for group in words.RELATED):
        return 0.75, f"{one or first} and {other or second} may mean the same"
    if not one or not other:
        return 0.6 + 0.2 * _dice(first, second), f"one is narrower: {one or other}"
    return 0.35 + 0.5 * _dice(first, second), f"both are a {left.head}"


def _within(part: str, group: frozenset[str]) -> bool:
    return part.removesuffix("姓名").removesuffix("名称") in group


def _rest(left: str, right: str) -> tuple[str, str]:
    """Return what of each is left without the beginning and the end they share."""
    start = 0
    while start < min(len(left), len(right)) and left[start] == right[start]:
        start += 1
    left, right = left[start:], right[start:]
    end = 0
    while end < min(len(left), len(right)) and left[-1 - end] == right[-1 - end]:
        end += 1
    return left[: len(left) - end], right[: len(right) - end]


def _told_apart(left: str, right: str) -> bool:
    one, other = _rest(left, right)
    return any(
        any(word in one for word in group) and any(word in other for word in group) and not _shared(one, other, group)
        for group in words.CONTRASTS
    )


def _shared(one: str, other: str, group: Sequence[str]) -> bool:
    return any(word in one and word in other for word in group)


def _attributes(left: Element, right: Element, *, alike: bool) -> Iterator[tuple[float, str]]:
    """Yield what counts against: a factor and the reason."""
    if not alike:
        return
    if left.kind and right.kind and left.kind != right.kind:
        if "text" in (left.kind, right.kind):
            yield 0.96, f"kept as {left.kind} and as {right.kind}"
        else:
            yield 0.6, f"a {left.kind} is no {right.kind}"
    if left.format and right.format and left.format != right.format:
        yield 0.5, f"of the form {left.format} and {right.format}"
    if left.code_set and right.code_set and left.code_set != right.code_set:
        yield 0.85, f"of the code sets {left.code_set} and {right.code_set}"
    one, other = left.name.unit, right.name.unit
    if one and other and one != other:
        alike_units = _UNIT_GROUP[one] == _UNIT_GROUP[other]
        yield (0.88 if alike_units else 0.6), f"in {one} and in {other}"
    if left.kind == right.kind == "text" and left.length and right.length:
        shorter, longer = sorted((left.length, right.length))
        if longer > 4 * shorter:
            yield 0.98, f"of up to {left.length} and {right.length} characters"


def _agreement(left: Element, right: Element) -> str:
    """Return what makes a match surer, or nothing."""
    if left.code_set and left.code_set == right.code_set:
        return f"the same code set: {left.code_set}"
    if left.format and left.format == right.format and left.name.key == right.name.key:
        return f"the same form: {left.format}"
    return ""
