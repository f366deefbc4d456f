"""Following a topic: whether anybody still reads what is printed."""

import os
import sys
from pathlib import Path

import pytest

from dxmesh_client.cli.following import _is_unread


def test_a_pipe_whose_reader_has_gone_is_noticed_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert not _is_unread()
        os.close(reading)
        assert _is_unread()


def test_a_file_has_no_reader_that_could_go(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open("w", encoding="utf-8") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert not _is_unread()
