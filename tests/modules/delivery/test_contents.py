"""What delivery keeps of contents, in whatever order and however often it is told."""

from collections.abc import Sequence
from itertools import permutations

import pytest

from martech.kernel import migrate, shadow
from martech.kernel.bus import Bus
from martech.kernel.bus.replay import replay
from martech.kernel.errors import Conflict
from martech.modules.content.contract import ContentPublished, ContentWithdrawn
from martech.modules.delivery.module import module
from tests.modules.delivery.stand import START, Stand

pytestmark = pytest.mark.anyio

Told = ContentPublished | ContentWithdrawn


def published(stand: Stand, version: int) -> ContentPublished:
    return ContentPublished(
        content_id=stand.content_id,
        name="Winter",
        version=version,
        subject=f"Version {version}",
        html="",
        text="",
        published_at=START,
    )


def withdrawn(stand: Stand, version: int | None) -> ContentWithdrawn:
    return ContentWithdrawn(content_id=stand.content_id, version=version)


def story(stand: Stand) -> list[Told]:
    """The first version was wrong, and the second is right."""
    return [published(stand, 1), withdrawn(stand, 1), published(stand, 2)]


async def may_be_sent(stand: Stand, version: int) -> bool:
    try:
        await stand.open(content_version=version, occasion=f"of {version}")
    except Conflict:
        return False
    return True


async def keep(stand: Stand, told: Sequence[Told]) -> None:
    async with stand.service() as service:
        await service.keep_content(told)


async def tell(stand: Stand, told: Sequence[Told]) -> None:
    for fact in told:
        async with stand.host.databases["content"].transaction(stand.tenant) as tx:
            tx.publish(fact)
    await Bus(stand.host).settle()


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_a_withdrawal_hits_its_versions_in_whatever_order_it_is_heard(
    stand: Stand, order: Sequence[int]
) -> None:
    told = story(stand)
    await keep(stand, [told[place] for place in order])
    assert [await may_be_sent(stand, version) for version in (1, 2)] == [False, True]


async def test_a_withdrawal_without_a_number_hits_what_is_known(stand: Stand) -> None:
    await keep(stand, [published(stand, 1), published(stand, 2), withdrawn(stand, None)])
    await keep(stand, [published(stand, 3)])
    assert [await may_be_sent(stand, version) for version in (1, 2, 3)] == [False, False, True]


@pytest.mark.parametrize("since", [0, 1, 2])
async def test_what_is_heard_again_ends_as_it_was(stand: Stand, since: int) -> None:
    await tell(stand, story(stand))
    await replay(stand.host, "delivery.keep_contents", since, in_place=True)
    await Bus(stand.host).settle()
    assert [await may_be_sent(stand, version) for version in (1, 2)] == [False, True]


async def test_what_is_made_anew_is_as_it_was(stand: Stand) -> None:
    await tell(stand, story(stand))
    await shadow.rebuild(stand.host, "delivery.keep_contents", lambda *_: None)
    assert [await may_be_sent(stand, version) for version in (1, 2)] == [False, True]


async def test_an_upgrade_keeps_what_was_withdrawn(stand: Stand, delivery_url: str) -> None:
    await keep(stand, story(stand))
    await migrate.downgrade(module, delivery_url, revision="0006")
    await migrate.upgrade(module, delivery_url)
    assert [await may_be_sent(stand, version) for version in (1, 2)] == [False, True]
