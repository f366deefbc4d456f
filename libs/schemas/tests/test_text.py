import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxmesh_schemas import text


@pytest.mark.parametrize("name", ["民政\u200b局", "民政\ufeff局", "民政\u202e局", "民政\x00局", "民政\n局", "民政\u00ad局", "民政\x7f局"])
def test_a_name_with_a_character_nobody_sees_is_refused_by_its_code_point(name: str) -> None:
    with pytest.raises(ValueError, match=r"U\+[0-9A-F]{4}"):
        text.check_name(name)


@pytest.mark.parametrize("character", "\u034f\u115f\u1160\u17b4\u2800\u3164\uffa0\ufe00\ufe0f\U000e0100\U000e01ef\U000e0041\u2060\u180e")
def test_a_letter_or_mark_that_shows_nothing_is_refused_like_a_zero_width_one(character: str) -> None:
    with pytest.raises(ValueError, match=f"U\\+{ord(character):04X}"):
        text.check_name(f"民政{character}局")
    assert text.unseen(f"a\u200b{character}") == "U+200B", "the first is named"
    assert text.unseen(f"a\n{character}", layout=True) == f"U+{ord(character):04X}"


def test_lines_and_tabs_stand_in_running_text_and_not_in_names() -> None:
    assert text.unseen("一\n二\t三", layout=True) is None
    assert text.unseen("一\n二") == "U+000A"


@pytest.mark.parametrize(("name", "half"), [("第２局", "2"), ("Ａ 区", "A"), ("ｂ 区", "b")])
def test_a_name_with_full_width_letters_or_digits_is_told_what_to_write(name: str, half: str) -> None:
    with pytest.raises(ValueError, match=f"write '{half}'"):
        text.check_name(name)


@pytest.mark.parametrize(("name", "letter"), [("GІS 系统", "І"), ("ОА OAА", "А"), ("ΑPP", "Α"), ("wοrk", "ο")])
def test_a_name_that_mixes_latin_letters_with_others_that_look_like_them_is_refused(name: str, letter: str) -> None:
    with pytest.raises(ValueError, match=f"{letter}.*(CYRILLIC|GREEK) .* among Latin letters"):
        text.check_name(name)


@pytest.mark.parametrize(
    "name", ["μm 级监测", "ΔT 数据", "АБВ 俄文资料", "α粒子", "ئۇيغۇر 语资料", "བོད་ཡིག", "ᠮᠣᠩᠭᠣᠯ", "GIS一张图", "Ⅲ期", "한국어 AB"]
)
def test_other_scripts_stand_in_names_by_right(name: str) -> None:
    assert text.check_name(name) == name


def test_chinese_full_width_punctuation_and_rare_characters_stay() -> None:
    assert text.check_name(" 绍兴市（越城区）民政局𠮷 ") == "绍兴市（越城区）民政局𠮷"


@pytest.mark.parametrize("name", ["", "   ", "\u3000"])
def test_a_name_of_blanks_is_empty(name: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        text.check_name(name)


@pytest.mark.parametrize(("one", "other"), [("ABC 系统", "abc  系统"), ("（一）", "(一)"), ("ﬁle", "file"), ("é", "e\u0301")])
def test_names_that_read_alike_compare_alike(one: str, other: str) -> None:
    assert text.comparable(one) == text.comparable(other)


@pytest.mark.parametrize("code", ["", " ", " 01", "01 ", "０１", "0\u200b1"])
def test_a_code_that_only_looks_like_one_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        text.check_code(code)


@given(st.text(alphabet=st.characters(exclude_categories=("Cc", "Cf", "Cs", "Co", "Zl", "Zp")), min_size=1))
def test_what_check_name_passes_it_passes_again_unchanged(name: str) -> None:
    try:
        once = text.check_name(name)
    except ValueError:
        return
    assert text.check_name(once) == once
    assert text.unseen(once) is None


def test_faults_point_at_the_text_inside_a_body() -> None:
    body = {"items": [{"name": "a"}, {"enumeration": ["x", "y\u200b"]}]}
    assert [pointer for pointer, _ in text.faults(body)] == ["/items/1/enumeration/1"]
