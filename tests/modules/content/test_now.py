"""A draft is shown as if it were sent now."""

import pytest

from tests.modules.content.conftest import Desk

pytestmark = pytest.mark.anyio


async def test_now_in_a_preview_is_now_unless_the_sample_says_another(desk: Desk) -> None:
    path = await desk.made(subject="{{ 'now' | date: '%Y' }} {{ now | date: '%Y' }}")
    shown = await desk.call("POST", f"{path}/preview", {})
    later = await desk.call("POST", f"{path}/preview", {"sample": {"now": "2031-05-06T07:08:09Z"}})

    year, same = shown.json()["subject"].split()
    assert int(year) == int(same) >= 2026
    assert later.json()["subject"] == "2031 2031"
    assert (await desk.call("POST", f"{path}/lint")).json()["data"] == []
