"""What people do with their mails, from the link in the mail to what everybody hears of it."""

import asyncio
import re
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import msgspec
import pytest

from martech.kernel.errors import TooMany
from martech.modules.delivery.contract import Counts, MessageOpened
from martech.modules.delivery.domain.links import Signer, link_id, opened
from martech.modules.delivery.domain.telling import occurrence
from martech.modules.delivery.service.engaging import WAITING, Hit, Reception
from martech.modules.profiles.contract import Identity
from tests.modules.delivery.stand import BASE
from tests.modules.delivery.visiting import ONE_CLICK, PERSON, Received, Visitors, visitors
from tests.sinks.smtp import Sink

pytestmark = pytest.mark.anyio

BOOTS = "https://shop.example/boots"


@pytest.fixture
async def people(delivery_url: str, server: Sink) -> AsyncIterator[Visitors]:
    async with visitors(delivery_url, server) as made:
        yield made


async def one_mail(people: Visitors) -> Received:
    await people.stand.to("ada")
    await people.stand.work()
    (mail,) = people.mails()
    return mail


async def counts(people: Visitors) -> Counts:
    async with people.served.host.unit("delivery", people.stand.tenant, write=False) as service:
        (send,) = (await service.sends()).data
    found: Counts = send.counts
    return found


async def test_a_link_leads_where_it_led_and_is_counted(people: Visitors) -> None:
    mail = await one_mail(people)
    (link,) = mail.links
    assert link in mail.plain
    for times in (1, 2):
        answer = await people.call("GET", link)
        assert (answer.status_code, answer.headers["location"]) == (302, BOOTS)
        assert answer.headers["cache-control"] == "no-store"
        assert await people.told("link_clicked") == times
    assert (await counts(people)).clicked == 1, "messages are counted, not visits"
    assert (await counts(people)).opened == 0
    tagged = await people.call("GET", f"{link}?utm_source=newsletter&fbclid=x")
    assert (tagged.status_code, tagged.headers["location"]) == (302, BOOTS)


@pytest.mark.parametrize("name", ["https://evil.example/login", "you href=https://evil.example/2 "])
async def test_who_calls_himself_a_link_gets_none_of_ours(people: Visitors, name: str) -> None:
    """Anybody may say of himself what he likes; the sender's address stands for the sender."""
    stand = people.stand
    html = f"<a title='For {{{{ profile.traits.name }}}}' href='{BOOTS}'>boots</a>"
    await stand.publish(html=html)
    ids = await stand.people("mallory")
    await stand.change(ids[0], name=name)
    await stand.add(await stand.open(), ids)
    await stand.work()
    (mail,) = people.mails()
    (link,) = mail.links
    assert set(re.findall(r"https://\S+/c/[\w-]+", mail.plain + mail.html)) == {link}
    assert (await people.call("GET", link)).headers["location"] == BOOTS
    assert mail.plain.splitlines()[0] == f"Dear {name}: {link}"


async def test_the_picture_tells_of_an_opening(people: Visitors) -> None:
    mail = await one_mail(people)
    answer = await people.call("GET", mail.picture)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert answer.content.startswith(b"GIF89a")
    assert (await counts(people)).opened == 1
    assert await people.told("message_opened") == 1


async def test_one_click_unsubscribes(people: Visitors) -> None:
    """RFC 8058: a POST of one form field, without cookies, answered without a redirect."""
    mail = await one_mail(people)
    form = {"content-type": "application/x-www-form-urlencoded"}
    for _ in range(3):
        answer = await people.call("POST", mail.out, content=ONE_CLICK, headers=form)
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
    assert (await counts(people)).unsubscribed == 1
    assert await people.told("unsubscribed") == 1
    (barred,) = (await people.rows())["suppressions"]
    assert {"ada@example.com", "unsubscribed"} <= set(barred)


async def test_whoever_unsubscribed_gets_no_more_and_profiles_hears_of_it(
    people: Visitors,
) -> None:
    stand = people.stand
    mail = await one_mail(people)
    await people.call("POST", mail.out, content=ONE_CLICK)
    later = await stand.open(occasion="2")
    async with stand.service() as service:
        (message,) = (await service.messages(send_id=None)).data
    await stand.add(later, [message.profile_id])
    await stand.work()
    assert len(stand.sink.mails) == 1
    assert (await stand.look(later)).counts.suppressed == 1


async def test_who_comes_back_and_leaves_again_by_an_old_mail_is_left_alone(
    people: Visitors,
) -> None:
    mail = await one_mail(people)
    await people.call("POST", mail.out, content=ONE_CLICK)
    before = await people.rows()
    async with people.stand.service() as service:
        await service.lift_suppression("ada@example.com")
    assert (await people.rows())["suppressions"] == []
    await people.call("POST", mail.out, content=ONE_CLICK)
    after = await people.rows()
    assert len(after["suppressions"]) == len(before["suppressions"]) == 1
    assert (await counts(people)).unsubscribed == 1


async def test_looking_changes_nothing(people: Visitors) -> None:
    """Programs look at links before people do (E12)."""
    mail = await one_mail(people)
    before = await people.rows()
    for method, url, status in [
        ("GET", mail.out, 200),
        ("HEAD", mail.out, 200),
        ("HEAD", mail.links[0], 302),
        ("HEAD", mail.picture, 200),
    ]:
        for headers in (PERSON, {}):
            answer = await people.call(method, url, headers=headers)
            assert answer.status_code == status, (method, url)
            assert (answer.content == b"") == (method == "HEAD")
    assert await people.rows() == before


@pytest.mark.parametrize(
    "header",
    [
        {"sec-purpose": "prefetch;prerender"},
        {"purpose": "prefetch"},
        {"x-purpose": "preview"},
        {"x-moz": "prefetch"},
    ],
)
async def test_what_is_fetched_before_anybody_asks_counts_nothing(
    people: Visitors, header: dict[str, str]
) -> None:
    mail = await one_mail(people)
    before = await people.rows()
    assert (await people.call("GET", mail.links[0], headers=header)).status_code == 302
    assert (await people.call("GET", mail.picture, headers=header)).status_code == 200
    assert await people.rows() == before


@pytest.mark.parametrize(
    ("agent", "machine"),
    [
        ("Mozilla/5.0", True),
        ("Mozilla/5.0 Firefox/11.0 (via ggpht.com GoogleImageProxy)", False),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko)", False),
        ("", False),
    ],
)
async def test_an_opening_says_whether_a_program_loads_every_picture(
    people: Visitors, agent: str, machine: bool
) -> None:
    mail = await one_mail(people)
    await people.call("GET", mail.picture, headers={"user-agent": agent})
    assert (await counts(people)).opened == 1
    feed = people.served.host.feed("delivery")
    (record,) = await feed.read(after=0, types=["delivery.message_opened.v1"], items=10)
    (told,) = msgspec.json.decode(record.data, type=MessageOpened).items
    assert told.machine is machine
    async with people.served.host.unit("delivery", people.stand.tenant) as service:
        noted = [fact for fact, _ in await service.noted(10) if fact.kind == "opened"]
    tracked = [occurrence(fact, Identity("user_id", "ada")).properties for fact in noted]
    assert [one["machine_open"] for one in tracked] == [machine]


async def test_the_page_asks_with_one_button_and_no_script(people: Visitors) -> None:
    mail = await one_mail(people)
    asked = await people.call("GET", mail.out, headers=PERSON)
    assert asked.text.count("<button") == 1
    assert '<form method="post">' in asked.text
    done = await people.call("POST", mail.out, headers=PERSON)
    assert "You are unsubscribed" in done.text
    unknown = await people.call("GET", mail.out[:-2], headers=PERSON)
    assert unknown.status_code == 404
    for page in (asked, done, unknown):
        assert page.headers["content-type"].startswith("text/html")
        assert "<script" not in page.text
        assert "://" not in page.text, "nothing comes from elsewhere"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "ada" not in page.text.lower(), "whoever holds the link learns nothing by it"


FOREIGN = "https://evil.example/"


async def test_nothing_leads_where_nothing_is_stored(people: Visitors) -> None:
    """E14."""
    mail = await one_mail(people)
    (link,) = mail.links
    message = (await people.rows())["messages"][0]
    tenant, message_id = people.stand.tenant, mail.mail["Message-ID"].strip("<>").split("@")[0]
    assert message_id in map(str, message)
    async with people.stand.service() as service:
        ours = await service.signer()

    id_ = UUID(message_id)
    stranger = Signer(uuid4().bytes * 2, tenant)
    elsewhere = Signer(ours.key, uuid4())
    tokens = [
        stranger.token("c", id_, link_id(FOREIGN)),
        stranger.token("c", id_, link_id(BOOTS)),
        elsewhere.token("c", id_, link_id(BOOTS)),
        ours.token("c", id_, link_id(FOREIGN)),
        ours.token("c", uuid4(), link_id(BOOTS)),
        ours.token("o", id_),
        ours.token("u", id_),
        *("x", "A" * 80, FOREIGN.replace("/", "%2F"), "%0d%0aLocation:%20" + FOREIGN),
    ]
    before = await people.rows()
    for token in tokens:
        for method in ("GET", "HEAD"):
            for query in ("", f"?url={FOREIGN}&to={FOREIGN}&next={FOREIGN}"):
                answer = await people.call(method, f"{BASE}/c/{token}{query}")
                assert answer.status_code == 404
                assert "location" not in answer.headers
    assert await people.rows() == before
    answer = await people.call("GET", f"{link}?url={FOREIGN}", headers={"host": "evil.example"})
    assert answer.headers["location"] == BOOTS


async def test_a_program_is_told_of_a_damaged_link_as_everywhere(people: Visitors) -> None:
    answer = await people.call("POST", f"{BASE}/u/{'A' * 64}", content=ONE_CLICK)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_links_of_a_tenant_open_nothing_of_another(people: Visitors) -> None:
    mine = await one_mail(people)
    stand = people.stand
    stand.tenant, stand.content_id = uuid4(), uuid4()
    await stand.to("bob")
    await stand.work()
    theirs = people.mails()[-1]
    assert theirs.mail["To"] == "bob@example.com"
    assert (await people.call("GET", theirs.links[0])).status_code == 302
    assert (await counts(people)).clicked == 1
    await people.call("POST", mine.out, content=ONE_CLICK)
    assert (await counts(people)).unsubscribed == 0


async def test_two_processes_unsubscribe_the_same_people_from_different_sends_at_once(
    people: Visitors,
) -> None:
    """Each takes what it writes in one order, so neither waits for the other in a circle."""
    stand = people.stand
    names = [f"p{number:02}" for number in range(12)]
    await stand.publish()
    profiles = await stand.people(*names)
    hits: list[list[Hit]] = []
    for process, audience in enumerate((profiles, profiles[::-1])):
        asked = []
        for number, profile_id in enumerate(audience):
            id_ = UUID(int=1000 * process + number + 1)
            occasion = f"{process} {number}"
            await stand.add(await stand.open(id_, occasion=occasion), [profile_id])
            async with stand.service() as service:
                (message,) = (await service.messages(send_id=id_)).data
                signer = await service.signer()
            token = opened("u", signer.token("u", message.id))
            assert token is not None
            asked.append(Hit(token, counts=True))
        hits.append(asked)

    async def engage(asked: list[Hit]) -> None:
        async with stand.service() as service:
            await service.engage(asked)

    await asyncio.gather(*map(engage, hits))
    assert len((await people.rows())["suppressions"]) == len(names)


async def test_however_many_openings_wait_whoever_wants_no_more_is_heard(people: Visitors) -> None:
    mail = await one_mail(people)
    reception = people.served.host.resources["delivery"][Reception]
    assert isinstance(reception, Reception)
    picture = opened("o", mail.picture.rpartition("/")[2])
    flood = [reception.take(picture, counts=True) for _ in range(WAITING + 1)]
    out = opened("u", mail.out.rpartition("/")[2])
    *openings, leaving = await asyncio.gather(
        *flood, reception.take(out, counts=True), return_exceptions=True
    )
    assert any(isinstance(outcome, TooMany) for outcome in openings)
    assert leaving == ""
    assert (await counts(people)).unsubscribed == 1
