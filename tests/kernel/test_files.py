"""Folders that are held, and what things are called after a module."""

from pathlib import Path

import pytest

from martech.kernel.files import alone


def test_a_folder_by_two_names_is_held_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "linked").symlink_to(tmp_path / "data")
    names = [Path("data"), tmp_path / "data", Path("linked"), Path("data/../data")]
    with alone(names), pytest.raises(ValueError, match="Another `martech serve`"), alone(names[:1]):
        raise AssertionError
    with alone(names):
        pass  # it was let go
