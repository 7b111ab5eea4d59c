"""E12, E13, E14, and E4 at the wire: what a mail may do to people, and people to a mail.

The mail server's own log is the verdict, and a mail is what the standard library reads in it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from martech.kernel.module import Module
from martech.modules.delivery.adapters.session import Patience, Session
from martech.modules.delivery.domain.addresses import Mailbox, address
from martech.modules.delivery.domain.dkim import Seal
from martech.modules.delivery.domain.links import Signer, link_id
from martech.modules.delivery.domain.mail import Letter, build
from martech.modules.delivery.domain.outcomes import Accepted, Ambiguous, NotTried, Posted, Refused
from martech.modules.delivery.module import module as delivery
from martech.modules.delivery.service.engaging import Reception
from tests import databases
from tests.chaos.history import GuaranteeBroken, insist
from tests.chaos.trusting import (
    FollowsWhatItIsTold,
    LetsAnythingThrough,
    SignsWhatItKnows,
    TakesSilenceForNo,
    TrustsTheToken,
    UnsubscribesOnGet,
    builds_by_format,
)
from tests.modules.delivery.letters import HEADERS, letter, parsed
from tests.modules.delivery.sending import EAGER, HASTY, Told, pool, send
from tests.modules.delivery.stand import BASE, MODULES
from tests.modules.delivery.visiting import ONE_CLICK, PERSON, Visitors, dkim_key, visitors
from tests.sinks.smtp import Mail, sink

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]


@pytest.fixture
def url(kind: str, tmp_path: Path) -> str:
    return databases.fresh(kind, MODULES, tmp_path)


def with_reception(kind: type[Reception]) -> list[Module]:
    resources = [kind if each is Reception else each for each in delivery.resources]
    planted = replace(delivery, resources=resources)
    return [planted if module.name == delivery.name else module for module in MODULES]


# --- E12 ----------------------------------------------------------------------------------------


def check_one_click(data: bytes) -> None:
    """RFC 8058, section 4: both headers, one https URL, and both of them signed."""
    mail = parsed(data)
    out = mail.get_all("List-Unsubscribe", [])
    post = mail.get_all("List-Unsubscribe-Post", [])
    if len(out) != 1 or not out[0].startswith("<https://") or post != [ONE_CLICK]:
        raise GuaranteeBroken(f"no one-click headers: {out} {post}")
    (signature,) = mail.get_all("DKIM-Signature", [""])
    tags = dict(tag.strip().split("=", 1) for tag in signature.split(";") if "=" in tag)
    signed = tags.get("h", "").replace(" ", "").lower().split(":")
    if not {"list-unsubscribe", "list-unsubscribe-post"} <= set(signed):
        raise GuaranteeBroken(f"not signed: {signed}")


async def leave(people: Visitors, names: Sequence[str]) -> int:
    """Everybody's links are looked at by programs; then everybody leaves. How many did."""
    await people.stand.to(*names)
    while len(people.stand.sink.mails) < len(names):
        await people.stand.work()
    for each in people.stand.sink.mails:
        check_one_click(each.bytes)
    mails = people.mails()
    before = await people.rows()
    for mail in mails:
        for method, url in (("GET", mail.out), ("HEAD", mail.out), ("HEAD", mail.links[0])):
            for headers in ({}, PERSON):
                await people.call(method, url, headers=headers)
    if await people.rows() != before:
        raise GuaranteeBroken("looking changed something")
    for mail in mails:
        answer = await people.call("POST", mail.out, content=ONE_CLICK)
        if answer.status_code != 200 or answer.request.headers.get("cookie"):
            raise GuaranteeBroken(f"one click: {answer.status_code}")
    barred = {row[1] for row in (await people.rows())["suppressions"]}
    if barred != {f"{name}@example.com" for name in names}:
        raise GuaranteeBroken(f"{len(barred)} of {len(names)} are out")
    return len(barred)


async def leaving(url: str, folder: Path, names: Sequence[str], modules: Sequence[Module]) -> int:
    signing = {
        "dkim_key": dkim_key(folder),
        "dkim_selector": "s1",
        "dkim_domain": "shop.example",
    }
    async with sink() as server, visitors(url, server, modules, **signing) as people:
        return await leave(people, names)


async def test_one_click_is_signed_works_and_looking_does_not(
    url: str, tmp_path: Path, full: bool
) -> None:
    names = [f"person{number}" for number in range(500 if full else 20)]
    left = await leaving(url, tmp_path, names, MODULES)
    insist(faults=0, wanted=0, tried=left, planned=len(names))


@pytest.mark.planted
async def test_whoever_unsubscribes_on_get_is_found_out(url: str, tmp_path: Path) -> None:
    planted = with_reception(UnsubscribesOnGet.Reception)
    with pytest.raises(GuaranteeBroken, match="looking changed something"):
        await leaving(url, tmp_path, ["ada"], planted)


@pytest.mark.planted
def test_headers_that_are_not_signed_are_found_out(tmp_path: Path) -> None:
    key = Path(dkim_key(tmp_path)).read_bytes()
    check_one_click(build(letter(), Seal(key, "s1", "news.example")))
    with pytest.raises(GuaranteeBroken, match="not signed"):
        check_one_click(build(letter(), SignsWhatItKnows(key, "s1", "news.example")))


# --- E13 ----------------------------------------------------------------------------------------

NEXT = "MAIL FROM:<eve@evil.example>{0}RCPT TO:<bob@example.com>{0}DATA{0}Subject: x{0}{0}x{0}.{0}"
ENDS = [
    "\r\n",
    "\n",
    "\r",
    "\n\r",
    "\r\r\n",
    "\r\n\r\n",
    "\x85",
    "\u2028",
    "\u2029",
    "\0\r\n",
    "\v",
]
MORE_HEADERS = [f"Hello{end}Bcc: eve@evil.example" for end in ENDS]
MORE_MAILS = [f"Hello{end}.{end}{NEXT.format(end)}" for end in ENDS]
HOSTILE = [
    *MORE_HEADERS,
    *(f"Hello{end}{end}<script>x</script>" for end in ENDS),
    *MORE_MAILS,
    *(f"Hello{one}.{other}{NEXT.format(other)}" for one in ENDS[:4] for other in ENDS[:4]),
    *(f"Hello\0{end}Cc: eve@evil.example{end} folded" for end in ENDS),
    "=?utf-8?q?Hello=0D=0ABcc:_eve@evil.example?=",
    "=?utf-8?b?SGVsbG8NCkJjYzogZXZlQGV2aWwuZXhhbXBsZQ==?=",
    '"<eve@evil.example>, "',
    "Hello\ud800\r\nBcc: eve@evil.example",
    "." * 2000,
    ".\r\n" * 2000,
    "x" * 5000,
    "é" * 5000,
    " \t" * 2000 + "x",
    "\N{RIGHT-TO-LEFT OVERRIDE}oslleH",
    "--=_0197b5f27d6a7c3e9d8b0123456789ab--\r\nBcc: eve@evil.example",
]
"""What people put into subjects, names and texts."""

NO_ADDRESSES = [
    *(f"ada@example.com{end}{NEXT.format(end)}" for end in ENDS[:4]),
    *(f"ada@example.com>{end}RCPT TO:<eve@evil.example" for end in ENDS[:4]),
    "ada@example.com> NOTIFY=SUCCESS ORCPT=rfc822;eve@evil.example",
    "ada@example.com\0",
    "<eve@evil.example>,ada@example.com",
]

Build = Callable[[Letter, Seal | None], bytes]


def places(text: str) -> list[dict[str, object]]:
    return [
        {"subject": text},
        {"to_name": text},
        {"sender": Mailbox(text, "news@news.example")},
        {"html": text},
        {"html": "", "text": text},
        {"feedback": text},
        {"unsubscribe_url": f"https://mail.example/u/{text}"},
    ]


def hostile(texts: Sequence[str] = HOSTILE) -> list[Letter]:
    """Each of them in every place."""
    return [letter(message_id=uuid4(), **put) for text in texts for put in places(text)]


async def mailed(
    letters: Sequence[Letter], build: Build, session: type[Session], patience: Patience = EAGER
) -> list[Mail]:
    """What a server takes that ends a line at whatever looks like one."""
    async with (
        sink(lenient=True) as server,
        pool(server, session=session, patience=patience) as out,
    ):
        for each in letters:
            mail = Posted(
                id=each.message_id,
                envelope_from="news@news.example",
                to=each.to.envelope,
                data=build(each, None),
            )
            await out.send([mail], Told(), within=30)
        return server.mails


def check_mails(letters: Sequence[Letter], mails: Sequence[Mail]) -> None:
    if others := [mail for mail in mails if mail.to != ["ada@example.com"]]:
        raise GuaranteeBroken(f"{len(others)} messages to others, as {others[0].to}")
    if len(mails) > len(letters):
        raise GuaranteeBroken(f"{len(mails)} messages of {len(letters)} letters")
    read = [message_from_bytes(mail.bytes, policy=policy.default) for mail in mails]
    for mail in read:
        names = list(mail.keys())
        if mail.defects or len(names) != len(set(names)):
            raise GuaranteeBroken(f"{mail.defects}, headers {names}")
        if not set(names) <= {*HEADERS, "Content-Transfer-Encoding"}:
            raise GuaranteeBroken(f"headers {set(names) - set(HEADERS)}")
    if len({mail["Message-ID"] for mail in read}) != len(letters):
        raise GuaranteeBroken("letters did not arrive")


async def test_whatever_is_put_in_it_it_is_one_mail_with_our_headers() -> None:
    letters = hostile()
    mails = await mailed(letters, build, Session)
    check_mails(letters, mails)
    insist(faults=0, wanted=0, tried=len(mails), planned=len(letters))


@pytest.mark.planted
@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (MORE_HEADERS, r"headers \{'Bcc'\}"),
        (MORE_MAILS, r"messages to others, as \['bob@example.com'\]"),
    ],
    ids=["headers", "mails"],
)
async def test_a_mail_that_was_put_together_as_text_is_found_out(
    texts: list[str], said: str
) -> None:
    letters = hostile(texts)
    with pytest.raises(GuaranteeBroken, match=said):
        # a mail that is two gets two words, and whoever waits for a third waits in vain
        mails = await mailed(letters, builds_by_format, LetsAnythingThrough, HASTY)
        check_mails(letters, mails)


async def test_a_session_lets_nothing_through_that_is_two() -> None:
    """The second wall: even of a mail that was put together as text."""
    letters = hostile()
    mails = await mailed(letters, builds_by_format, Session)
    assert 0 < len(mails) < len(letters)
    assert {mail.to[0] for mail in mails} == {"ada@example.com"}


async def test_no_address_is_more_than_one() -> None:
    data = build(letter(), None)
    async with sink(lenient=True) as server, pool(server) as out:
        for text in NO_ADDRESSES:
            assert address(text) is None
            mail = Posted(id=uuid4(), envelope_from="news@news.example", to=text, data=data)
            (outcome,) = await send(out, [mail])
            assert isinstance(outcome, Refused)
        assert server.mails == []


async def test_traits_of_people_are_no_headers(url: str) -> None:
    """The whole way: a hostile name in a subject and a text, to a mail at the server."""
    async with sink(lenient=True) as server, visitors(url, server) as people:
        stand = people.stand
        names = [text for text in HOSTILE if "\ud800" not in text and "\0" not in text]
        await stand.publish()
        ids = await stand.people(*(f"p{number}" for number in range(len(names))))
        for id_, name in zip(ids, names, strict=True):
            await stand.change(id_, name=name)
        await stand.add(await stand.open(), ids)
        await stand.work()
        assert Counter(mail.to[0] for mail in server.mails) == Counter(
            f"p{number}@example.com" for number in range(len(names))
        )
        for mail in server.mails:
            assert list(parsed(mail.bytes).keys()) == HEADERS
            part = parsed(mail.bytes).get_body(("html",))
            assert part is not None
            assert "<script>" not in part.get_content()


# --- E14 ----------------------------------------------------------------------------------------

FOREIGN = "https://evil.example/"


async def redirected(url: str, modules: Sequence[Module]) -> int:
    """How many forged links were tried; raises if one of them led anywhere."""
    async with sink() as server, visitors(url, server, modules) as people:
        await people.stand.to("ada")
        await people.stand.work()
        (mail,) = people.mails()
        (stored,) = {row[2] for row in (await people.rows())["links"]}
        message = UUID(mail.mail["Message-ID"].strip("<>").partition("@")[0])
        forger = Signer(uuid4().bytes * 2, people.stand.tenant)
        tokens = [forger.token("c", message, link_id(to)) for to in (FOREIGN, stored)]
        tokens += [mail.links[0][-80:-1] + "A", mail.links[0][-80:-1] + "B"]
        tokens += ["A" * 80, "evil.example", "%2F%2Fevil.example", "https:%2F%2Fevil.example"]
        tried = 0
        for token in tokens:
            for query in ("", f"?url={FOREIGN}", f"?next={FOREIGN}&redirect={FOREIGN}"):
                whole = f"{BASE}/c/{token}"
                if whole == mail.links[0]:
                    continue
                answer = await people.call("GET", whole + query)
                if answer.is_redirect or "location" in answer.headers:
                    raise GuaranteeBroken(f"{token} leads to {answer.headers.get('location')}")
                tried += 1
        answer = await people.call("GET", f"{mail.links[0]}?url={FOREIGN}")
        if answer.headers.get("location") != stored:
            raise GuaranteeBroken("a stored link does not lead where it led")
        return tried


async def test_only_stored_links_lead_anywhere(url: str) -> None:
    tried = await redirected(url, MODULES)
    insist(faults=0, wanted=0, tried=tried, planned=21)


@pytest.mark.parametrize("planted", [FollowsWhatItIsTold, TrustsTheToken])
@pytest.mark.planted
async def test_an_open_redirect_is_found_out(planted: object, url: str) -> None:
    modules = with_reception(planted.Reception)  # type: ignore[attr-defined]
    with pytest.raises(GuaranteeBroken, match="leads to https://"):
        await redirected(url, modules)


# --- E4, at the wire ----------------------------------------------------------------------------


async def persisted(size: int, session: type[Session]) -> tuple[int, int, int]:
    """Everybody is written to until the server has spoken, but nobody of whom it is unknown.
    How many faults there were, of how many mails nobody knows, and how many people got one."""
    waiting = [
        Posted(id=uuid4(), envelope_from="a@b.example", to=f"{n}@example.com", data=b"X: y\r\n")
        for n in range(size)
    ]
    unknown = 0
    async with (
        sink("accepted:drop@0.05", delay=(0, 2)) as server,
        pool(server, session=session, patience=EAGER) as out,
    ):
        while waiting:
            told = Told()
            await out.send(waiting, told, within=60)
            unknown += sum(isinstance(each, Ambiguous) for each in told.of.values())
            waiting = [mail for mail in waiting if isinstance(told.of[mail.id], NotTried)]
            assert all(isinstance(o, Accepted | Ambiguous | NotTried) for o in told.of.values())
        copies = Counter(mail.to[0] for mail in server.mails)
    if len(copies) < size - unknown:
        raise GuaranteeBroken(f"{size - unknown - len(copies)} were lost")
    if extra := sum(copies.values()) - len(copies):
        raise GuaranteeBroken(f"{extra} extra copies")
    return server.faults.struck, unknown, len(copies)


async def test_nobody_gets_two_when_the_servers_word_is_lost(full: bool) -> None:
    size = 10_000 if full else 400
    struck, unknown, reached = await persisted(size, Session)
    assert struck == unknown
    insist(faults=struck, wanted=size // 50, tried=reached, planned=size)


@pytest.mark.planted
async def test_silence_taken_for_a_no_is_found_out() -> None:
    with pytest.raises(GuaranteeBroken, match="extra copies"):
        await persisted(400, TakesSilenceForNo)
