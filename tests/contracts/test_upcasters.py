"""What reads as a later version stands in the contract: who takes an upcaster away takes the past
from those who listen."""

import msgspec
import pytest

from martech.kernel.published.asyncapi import asyncapi
from martech.kernel.published.gate import verdict
from martech.kernel.published.gate.breach import CURES
from tests.sample.shop import contract
from tests.sample.shop.module import module as shop

FILE = "contracts/shop/asyncapi.json"
ONE, TWO, THREE = (f"shop.price_changed.v{version}" for version in (1, 2, 3))


def reads_as() -> dict[str, list[str]]:
    """What the shop's contract says of each event that reads as a later one."""
    messages = asyncapi(shop)["components"]["messages"]
    return {name: said["x-reads-as"] for name, said in messages.items() if "x-reads-as" in said}


def test_a_contract_says_as_what_each_older_version_reads() -> None:
    assert reads_as() == {
        "shop.sold.v1": ["shop.sold.v2"],
        ONE: [TWO, THREE],
        TWO: [THREE],
    }


def test_an_upcaster_that_is_gone_is_a_broken_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    then = {FILE: asyncapi(shop)}
    name = next(
        name
        for name, step in vars(contract).items()
        if getattr(step, "old", None) is contract.PriceChangedV2
    )
    monkeypatch.delattr(contract, name)
    now = {FILE: asyncapi(shop)}
    assert reads_as() == {"shop.sold.v1": ["shop.sold.v2"], ONE: [TWO]}
    found = verdict(then, now)
    places = [f"/components/messages/{name}/x-reads-as" for name in (ONE, TWO)]
    assert [(each.rule, each.pointer) for each in found] == [
        ("upcaster-removed", place) for place in places
    ]
    assert [(each.was, each.now) for each in found] == [([TWO, THREE], [TWO]), ([THREE], None)]
    assert {each.instead for each in found} == {f"{CURES['upcaster-removed']}."}


def test_a_new_upcaster_breaks_nothing_whatever_it_is_written_in() -> None:
    now = asyncapi(shop)
    then = msgspec.json.decode(msgspec.json.encode(now))
    del then["components"]["messages"][ONE]["x-reads-as"]
    assert verdict({FILE: then}, {FILE: now}) == []
