"""Which language a visitor reads."""

import pytest

from open_data_svc.portal import words


@pytest.mark.parametrize(
    ("chosen", "accepted", "expected"),
    [
        (None, None, "zh"),
        (None, "en-US,en;q=0.9", "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "fr,en;q=0.3,zh;q=0.7", "zh"),
        (None, "fr;q=1, xx", "zh"),
        (None, "en;q=nonsense", "zh"),
        ("en", "zh-CN", "en"),
        ("zh", "en", "zh"),
        ("klingon", "en", "zh"),
    ],
)
def test_the_address_decides_then_the_browser_then_chinese(chosen: str | None, accepted: str | None, expected: str) -> None:
    assert words.language(chosen, accepted) == expected


def test_every_word_exists_in_both_languages() -> None:
    assert vars(words.WORDS["zh"]).keys() == vars(words.WORDS["en"]).keys()
    assert all(vars(words.WORDS["en"]).values())
