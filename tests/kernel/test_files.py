"""Folders that are held, and what things are called after a module."""

from pathlib import Path

import pytest

from martech.kernel.db import module_metadata
from martech.kernel.files import alone, camel
from martech.kernel.http.operating import parked_of
from martech.kernel.module import Module
from martech.kernel.published.canvas import hearing


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


def test_a_module_of_several_words_is_called_alike_everywhere() -> None:
    port = type("MyModule", (), {"__module__": "martech.modules.my_module.contract"})
    module = Module(port=port, service=object, tables=module_metadata("my_module"))
    assert camel(module.name) == port.__name__
    assert hearing(module).operation == "hearMyModule"
    called = {str(handler.operation_id) for handler in parked_of(module)}
    assert called >= {"listParkedMyModule", "showParkedMyModule"}
    assert all(name.endswith("ParkedMyModule") for name in called), called
