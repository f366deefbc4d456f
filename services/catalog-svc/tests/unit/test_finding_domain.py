"""How texts are compared and marked, and what an index holds after any changes."""

import random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog_svc.finding import domain
from catalog_svc.finding.entry import Entry, Organization, Scope
from catalog_svc.finding.index import Index
from catalog_svc.finding.masks import Postings, mask_of, positions_of

PROVIDERS = [Organization(UUID(int=n), f"code-{n}", name, "330600", "city") for n, name in ((1, "甲市民政局"), (2, "甲市水利局"))]
ALL = Scope(all=True, organization_id=None)
PUBLIC = Scope(all=False, organization_id=None)
WORDS = "婚姻登记机关名录户籍人口水库河道监测数据ab_1"


def make(number: int, name: str, *, summary: str = "", items: tuple[str, ...] = (), version: int = 1, provider: int = 0) -> Entry:
    return Entry(
        resource_id=UUID(int=number), revision=1, state="published", version=version, organization=PROVIDERS[provider],
        system_id=UUID(int=9), resource_code=f"33010201/{number:06d}", name=name, summary=summary,
        items=tuple((f"c{at}", item) for at, item in enumerate(items)), class_path="3/30/102", sharing_type="UNCONDITIONAL",
        open_type="CLOSED", update_cycle="DAILY", format=None, theme=None, item_count=len(items), shareable_item_count=len(items),
        published_at=None,
    )  # fmt: skip


def found(index: Index, q: str, scope: Scope = ALL, *, relax: bool = False) -> list[int]:
    entries = index.search(domain.read_query(q), scope, {}, limit=100, relax=relax).entries
    return [entry.resource_id.int for entry in entries]


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("ＡＢＣ１２３", "abc123"),
        ("婚\u200b姻\ufeff", "婚姻"),
        ("  A \t B\u3000C ", "a b c"),
        ("㎡", "m2"),
        ("Straße", "strasse"),
        ("\x00", ""),
        ("(甲)", "(甲)"),
        ("❤️", "❤"),
    ],
)
def test_texts_that_look_alike_are_compared_alike(text: str, folded: str) -> None:
    assert domain.fold(text) == folded


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("街道(乡镇)名录", ["街道", "乡镇", "名录"]),
        ("person_id", ["person_id"]),
        ("3/30/102/01", ["3/30/102/01"]),
        ("_x_ -a- b.", ["x", "a", "b"]),
        ("婚姻-登记", ["婚姻", "登记"]),
        ("😀 a", ["😀", "a"]),
        ("%_\\'\"", []),
    ],
)
def test_codes_stay_whole_and_other_signs_part_words(text: str, tokens: list[str]) -> None:
    assert domain.tokens(domain.fold(text)) == tokens


@given(st.text(max_size=60), st.text(min_size=1, max_size=8))
def test_marks_add_nothing_but_marks(text: str, q: str) -> None:
    import html

    marked = domain.marked(text, domain.read_query(q).tokens)
    if marked is not None:
        assert html.unescape(marked.replace("<mark>", "").replace("</mark>", "")) == text
        assert marked.count("<mark>") == marked.count("</mark>") > 0
        assert "<" not in marked.replace("<mark>", "").replace("</mark>", "")


@given(st.text(max_size=60))
def test_folding_is_done_once(text: str) -> None:
    assert domain.fold(domain.fold(text)) == domain.fold(text) or not domain.fold(text).isprintable()


def test_a_fragment_of_a_long_text_is_cut_around_what_was_found() -> None:
    text = "前" * 300 + "婚姻登记" + "后" * 300
    for aligned in (None, text):
        marked = domain.marked(text, ["婚姻登记"], whole=False, aligned=aligned)
        assert marked == "…" + "前" * 20 + "<mark>婚姻登记</mark>" + "后" * 56 + "…"


def test_marks_stand_where_the_text_was_longer_before_folding() -> None:
    assert domain.marked("㎡ \u200bＡ面积", ["a面积"]) == "㎡ \u200b<mark>Ａ面积</mark>"


@given(st.sets(st.integers(min_value=0, max_value=3000)))
def test_a_mask_holds_the_positions_it_was_made_of(positions: set[int]) -> None:
    assert positions_of(mask_of(positions)) == sorted(positions)
    postings = Postings()
    for position in sorted(positions):
        postings.add("x", position)
    assert postings.mask("x") == mask_of(positions)


def test_exact_comes_before_prefix_before_part_before_scattered_pairs() -> None:
    index = Index()
    for number, name in enumerate(("机关户籍人口", "户籍人口名录", "户籍人口", "人口与户籍,籍人"), 1):
        index.put(make(number, name))
    assert found(index, "户籍人口") == [3, 2, 1, 4]


def test_the_field_decides_before_the_kind_of_match() -> None:
    index = Index()
    index.put(make(1, "甲", summary="水库"))
    index.put(make(2, "乙", items=("水库",)))
    index.put(make(3, "河道与水库"))
    index.put(make(4, "丙", items=("大水库",)))
    assert found(index, "水库") == [3, 2, 4, 1]


def test_words_add_up_so_that_the_better_in_sum_comes_first() -> None:
    index = Index()
    index.put(make(1, "水库", summary="监测"))
    index.put(make(2, "水库监测"))
    index.put(make(3, "河道", items=("水库", "监测")))
    assert found(index, "水库 监测") == [2, 1, 3]


def test_drafts_are_seen_by_their_own_organization() -> None:
    index = Index()
    index.put(make(1, "水库", version=0))
    assert found(index, "水库", PUBLIC) == []
    assert found(index, "水库", Scope(all=False, organization_id=PROVIDERS[1].organization_id)) == []
    assert found(index, "水库", Scope(all=False, organization_id=PROVIDERS[0].organization_id)) == [1]
    index.put(make(1, "水库", version=1))
    assert found(index, "水库", PUBLIC) == [1]
    index.remove(UUID(int=1))
    assert found(index, "水库") == []


@given(st.lists(st.tuples(st.integers(1, 12), st.text(alphabet=WORDS, min_size=1, max_size=8), st.booleans()), max_size=60), st.data())
def test_after_any_changes_the_index_finds_what_a_plain_look_finds(changes: list[tuple[int, str, bool]], data: st.DataObject) -> None:
    index, held = Index(), {}
    for number, name, goes in changes:
        if goes:
            index.remove(UUID(int=number))
            held.pop(number, None)
        else:
            index.put(make(number, name, items=(name[::-1],)))
            held[number] = name
    q = data.draw(st.text(alphabet="婚姻登记机关名录户籍人口水库河道监测数据", min_size=1, max_size=3))
    whole = {number for number, name in held.items() if q in name or q in name[::-1]}
    got = found(index, q)
    assert len(got) == len(set(got))
    assert whole <= set(got)
    for number in set(got) - whole:  # the rest hold every pair, somewhere
        assert all(pair in held[number] or pair in held[number][::-1] for pair in domain.pairs(q))
    assert len(index) == len(held)
    assert found(index, "甲市民政局") == sorted(held, key=lambda number: (len(domain.fold(held[number])), number))


def test_many_results_come_in_the_same_order_as_few() -> None:
    index = Index()
    numbers = list(range(1, 400))
    random.Random(1).shuffle(numbers)
    for number in numbers:
        index.put(make(number, "水库" + "监" * (number % 7)))
    expected = sorted(numbers, key=lambda number: (number % 7 != 0, number % 7, number))
    got: list[int] = []
    after = None
    while True:
        page = index.search(domain.read_query("水库"), ALL, {}, limit=30, after=after)
        got += [entry.resource_id.int for entry in page.entries]
        after = page.last
        if after is None:
            break
    assert got == expected


def test_an_index_that_was_changed_often_says_that_it_is_worn() -> None:
    index = Index()
    for _ in range(1200):
        index.put(make(1, "水库"))
    assert index.is_worn
    assert found(index, "水库") == [1]


def test_suggestions_prefer_what_many_hold_and_hide_what_is_not_seen() -> None:
    index = Index()
    index.put(make(1, "水库名录", items=("水位", "水库编号")))
    index.put(make(2, "河道", items=("水位",)))
    index.put(make(3, "水文", version=0))
    assert index.suggest("水", PUBLIC, limit=10) == [
        ("水位", "item", 2),
        ("水库名录", "resource", 1),
        ("水库编号", "item", 1),
        ("河道", "resource", 1),
    ]
    assert ("水文", "resource", 1) in index.suggest("水", ALL, limit=10)
    assert index.suggest("甲市水", ALL, limit=10) == []


def test_a_suggestion_is_spelt_and_called_as_what_is_seen_is() -> None:
    index = Index()
    index.put(make(1, "GDP数据", version=0))
    index.put(make(2, "统计", items=("gdp数据",)))
    assert index.suggest("gdp", PUBLIC, limit=1) == [("gdp数据", "item", 1)]
    assert index.suggest("gdp", ALL, limit=1) == [("GDP数据", "resource", 2)]


def test_what_is_changed_often_is_not_suggested_before_what_there_is_more_of() -> None:
    index = Index()
    for number in (1, 2):
        index.put(make(number, f"河道 {number}", items=("水位",)))
    for _ in range(5):
        index.put(make(3, "水库", items=("水质", "水温")))
    assert index.suggest("水", ALL, limit=4) == [
        ("水位", "item", 2),
        ("水库", "resource", 1),
        ("水温", "item", 1),
        ("水质", "item", 1),
    ]
    index.remove(UUID(int=3))
    assert [text for text, _, _ in index.suggest("水", ALL, limit=4)] == ["水位", "河道 1", "河道 2"]
