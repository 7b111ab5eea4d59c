"""E16: a thousand renderings at once, of two tenants, some given up: nobody sees another's."""

import asyncio
import gc
import random
import sys
from collections.abc import Iterator

import pytest

from martech.kernel.templates import Template
from tests.chaos.engines import SharesItsContext
from tests.chaos.history import GuaranteeBroken, insist

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

TENANTS = ("acme", "globex")

SOURCE = """
{% if profile.vip %}{% assign code = profile.code %}
{% capture hi %}{{ profile.code }}{% endcapture %}{% endif %}
{% for i in (1..40) %}{% cycle 'a', 'b' %}{% increment n %}{{ profile.code | upcase }}{% endfor %}
{{ code }}{{ hi }}{{ profile.code }}
"""


@pytest.fixture
def hurried() -> Iterator[None]:
    """Threads change places in the middle of a rendering, and not only between two. What other
    tests left behind is not collected in one of them: that may take longer than it may itself."""
    usual = sys.getswitchinterval()
    gc.freeze()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)
    gc.unfreeze()


def person(number: int) -> dict[str, object]:
    code = f"{TENANTS[number % 2]}-{number}-"
    return {"profile": {"code": code, "vip": number % 3 == 0}}


async def crowd(kind: type[Template], many: int, seed: int) -> tuple[int, int, list[str]]:
    """How many were rendered and how many given up, and what some got that was not theirs."""
    chance = random.Random(seed)
    template = kind.parse(SOURCE, html=True)
    alone = [Template.parse(SOURCE, html=True).render(person(n)) for n in range(many)]

    given_up = set(chance.sample(range(many), many // 5))
    loop = asyncio.get_running_loop()

    def render(number: int) -> str:
        """Who gives up does so while the thread renders: word of it is sent before it begins."""
        if number in given_up:
            loop.call_soon_threadsafe(tasks[number].cancel)
        return template.render(person(number))

    tasks = [asyncio.create_task(asyncio.to_thread(render, number)) for number in range(many)]
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    strange = [
        f"person {number}: {text}"
        for number, text in enumerate(ended)
        if not isinstance(text, asyncio.CancelledError) and text != alone[number]
    ]
    cancelled = sum(isinstance(text, asyncio.CancelledError) for text in ended)
    return many - cancelled, cancelled, strange


async def check(kind: type[Template], rounds: int) -> None:
    for seed in range(rounds):
        rendered, cancelled, strange = await crowd(kind, 1_000, seed)
        if strange:
            raise GuaranteeBroken(
                f"seed {seed}: {len(strange)} not their own, as {strange[0][:300]}"
            )
        insist(faults=cancelled, wanted=200, tried=rendered, planned=800)


@pytest.mark.usefixtures("hurried")
async def test_a_thousand_renderings_at_once_see_only_their_own(full: bool) -> None:
    await check(Template, 20 if full else 1)


@pytest.mark.usefixtures("hurried")
@pytest.mark.planted
async def test_a_shared_context_is_found_out() -> None:
    with pytest.raises(GuaranteeBroken, match="not their own"):
        await check(SharesItsContext, 1)
