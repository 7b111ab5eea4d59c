"""The product's main story, told to an installation through its API and its mails alone.

People come and buy, a segment knows the loyal ones, a campaign writes to them, some open, click and
unsubscribe; two who were strangers turn out to be one person; a second campaign leaves out who
wants no more.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from email import message_from_bytes
from email.policy import default
from functools import partial
from typing import Any

from tests.chaos.nodes import Nodes
from tests.modules.delivery.visiting import ONE_CLICK, Received
from tests.sinks.smtp import Mail, Sink

PEOPLE, BUYERS, LATE = 24, 14, 4
LOYAL = {"event": "Order Completed", "sum": "revenue", "at_least": 100}
HTML = (
    "<html><body><p>Dear {{ profile.traits.name }}, <a href='https://shop.example/boots'>boots</a>"
    "</p><a href='{{ unsubscribe_url }}'>no more</a></body></html>"
)
PATIENCE = 120.0  # seconds until something that does not come counts as lost
LOOK = 0.2  # seconds between looks
STILL = 1.3  # seconds for which nothing may be on its way: longer than a look is kept

Answers = dict[str, Any]
"""What the API says at the end, and what the mail server has."""


async def tell(platform: Nodes, sink: Sink) -> Answers:
    await track(platform, [said for number in range(PEOPLE) for said in visitor(number)])
    segment = await loyal(platform)
    content = await template(platform)
    first = await campaign(platform, "Winter", segment, content)
    mails = letters(sink)
    await follow(platform, mails)
    await track(platform, latecomers())
    second = await campaign(platform, "Spring", segment, content)
    await still(platform)
    return {**await answers(platform, first, second), "mails": taken(sink.mails)}


def visitor(number: int) -> list[dict[str, object]]:
    """Who somebody is, and an order, or two."""
    user = f"p{number}"
    traits = {"name": f"P {number}", "email": f"{user}@example.com", "city": "Ulm"}
    who = {"type": "identify", "userId": user, "messageId": f"{user} who", "traits": traits}
    return [who, *(order(user, f"{user} {n}") for n in range(2 if number < BUYERS else 1))]


def order(user: str, message: str, by: str = "userId") -> dict[str, object]:
    return {
        "type": "track",
        by: user,
        "messageId": message,
        "event": "Order Completed",
        "properties": {"revenue": 50, "order_id": message},
    }


def latecomers() -> list[dict[str, object]]:
    """Strangers who buy, and then turn out to be people we know: they are loyal together."""
    strangers = [(f"p{BUYERS + n}", f"stranger {n}") for n in range(LATE)]
    return [
        message
        for user, stranger in strangers
        for message in (
            order(stranger, f"{stranger} buys", by="anonymousId"),
            {
                "type": "identify",
                "userId": user,
                "anonymousId": stranger,
                "messageId": f"{stranger} is {user}",
            },
        )
    ]


async def track(platform: Nodes, items: list[dict[str, object]]) -> None:
    """In an order: whoever is first here is first everywhere. As SDKs do, what a host cannot take
    yet is sent again: one that has just begun may not have heard of the keys."""

    async def taken(part: list[dict[str, object]]) -> bool:
        answer = await platform.call("POST", "/v1/batch", {"batch": part}, key=platform.write_key)
        assert answer.is_success or answer.status_code == 503, answer.text
        return answer.is_success

    for start in range(0, len(items), 20):
        await until(partial(taken, items[start : start + 20]), "what happened is taken")
    await still(platform)


async def loyal(platform: Nodes) -> str:
    asked = {"name": "Loyal", "condition": LOYAL}
    made: str = (await platform.do("POST", "/personalization/v1/segments", asked))["id"]

    async def ready() -> bool:
        found = await platform.do("GET", f"/personalization/v1/segments/{made}")
        return bool(found["ready"]) and found["size"] == BUYERS

    await until(ready, "the segment is ready")
    return made


async def template(platform: Nodes) -> str:
    draft = {"name": "Winter", "subject": "{{ profile.traits.name }}, it is winter", "html": HTML}
    made: str = (await platform.do("POST", "/content/v1/templates", draft))["id"]
    await platform.do("POST", f"/content/v1/templates/{made}/publish")
    await still(platform)
    return made


async def campaign(platform: Nodes, name: str, segment: str, content: str) -> str:
    plan = {"name": name, "segment_id": segment, "content_id": content}
    made: str = (await platform.do("POST", "/campaigns/v1/campaigns", plan))["id"]
    await platform.do("POST", f"/campaigns/v1/campaigns/{made}/launch")

    async def completed() -> bool:
        found = await platform.do("GET", f"/campaigns/v1/campaigns/{made}/status")
        return bool(found["status"] == "completed")

    await until(completed, f"{name} is completed")
    return made


def taken(mails: Iterable[Mail]) -> dict[str, int]:
    """How often the mail server took what, by addressee and subject."""
    parsed = ((mail.to, message_from_bytes(mail.bytes, policy=default)) for mail in mails)
    return dict(Counter(f"{', '.join(to)}: {message['subject']}" for to, message in parsed))


def letters(sink: Sink) -> dict[str, Received]:
    """What the mail server took, by the name before the @."""
    return {mail.to[0].partition("@")[0]: Received(mail.bytes) for mail in sink.mails}


async def follow(platform: Nodes, mails: dict[str, Received]) -> None:
    """Six open, three click, one leaves; one after the other."""
    names = [f"p{number}" for number in range(6)]
    for name in names:
        await platform.visit("GET", mails[name].picture)
    for name in names[:3]:
        await platform.visit("GET", mails[name].links[0])
    form = {"content-type": "application/x-www-form-urlencoded"}
    await platform.visit("POST", mails["p0"].out, content=ONE_CLICK, headers=form)
    await still(platform)


async def answers(platform: Nodes, first: str, second: str) -> Answers:
    """What a person would look at."""
    event = "event=Order%20Completed"
    asked = {
        "the first": f"/campaigns/v1/campaigns/{first}/status",
        "the second": f"/campaigns/v1/campaigns/{second}/status",
        "conversions": f"/analytics/v1/conversions?source=campaign:{first}&{event}"
        "&within=P14D&property=revenue",
        "events": "/analytics/v1/events",
    }
    return {name: await platform.do("GET", path) for name, path in asked.items()}


async def until(there: Callable[[], Awaitable[bool]], what: str) -> None:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + PATIENCE
    while not await there():
        assert loop.time() < give_up, f"{what}: not within {PATIENCE:.0f} s"
        await asyncio.sleep(LOOK)


async def still(platform: Nodes) -> None:
    """Until nothing has been on its way for a while, anywhere."""
    loop = asyncio.get_running_loop()
    since: float | None = None

    async def quiet() -> bool:
        nonlocal since
        if await platform.behind():
            since = None
        elif since is None:
            since = loop.time()
        return since is not None and loop.time() - since > STILL

    await until(quiet, "all is still")
