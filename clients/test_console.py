"""The page at `/` in a person's browser: it tells what happens, as it happens, and no secret."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.browser import Browser, browser
from clients.platform import Platform, platform
from tests.servers import free_port

pytestmark = pytest.mark.timeout(300)

PEOPLE = "[data-tile=people] .value"
EVERYWHERE = "AA of WCAG 2.2: 4.5 to 1"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform(tmp_path_factory.mktemp("platform")) as there:
        yield there


@pytest.fixture
def page() -> Iterator[Browser]:
    with browser() as there:
        yield there


def order(person: str, revenue: float, department: str = "GROCERY") -> dict[str, object]:
    """As a shop tells it."""
    return {
        "type": "track",
        "userId": person,
        "event": "Order Completed",
        "properties": {
            "revenue": revenue,
            "currency": "USD",
            "products": [{"category": department, "total": revenue}],
        },
    }


def is_quiet(page: Browser) -> None:
    """Nothing on its console: no error, no warning, no violation of its policy."""
    assert page.list("said") == []


def number(text: str) -> int:
    found = re.search(r"[\d,]+", text)
    assert found, text
    return int(found[0].replace(",", ""))


def test_without_a_key_it_says_what_is_running(served: Platform, page: Browser) -> None:
    page.go(served.url)
    page.until("#story", r"Collects what customers do.*martech is running: \d+ modules")
    page.until("#house li", "tracking")
    page.until("#welcome label", "secret key")
    for panel in ("#incoming", "#segments", "#campaign"):
        assert not page.sees(panel)
    is_quiet(page)


def test_a_key_in_the_address_leaves_it_and_is_told_to_nobody(
    served: Platform, page: Browser
) -> None:
    page.go(f"{served.url}/#key={served.secret_key}")
    page.until("#incoming .now", "events a second")
    page.until("#tenant", "tenant: first")
    assert page.ask("address") == f"{served.url}/"
    assert all(url.startswith(f"{served.url}/") for url in page.list("asked"))
    page.go(f"{served.url}/")  # this tab remembers
    page.until("#incoming .now", "events a second")
    assert not [url for url in page.list("asked") if served.secret_key in url]
    page.ask("click", selector="#leave")
    page.until("#welcome label", "secret key")
    assert served.secret_key not in str(page.ask("kept"))
    is_quiet(page)


def test_what_was_being_asked_when_the_key_was_forgotten_is_asked_no_further(
    served: Platform, page: Browser
) -> None:
    page.ask("hold", url="**/analytics/v1/series*")
    page.go(f"{served.url}/#key={served.secret_key}")
    page.ask("held")  # the first of four questions, of which each follows an answer
    page.ask("click", selector="#leave")
    page.until("#welcome label", "secret key")
    page.list("asked")
    page.ask("release")
    page.ask("asks", url=f"{served.url}/")
    assert set(page.list("asked")) == {f"{served.url}/"}
    is_quiet(page)


def test_what_is_sent_is_seen_as_it_comes(served: Platform, page: Browser) -> None:
    before = served.get("/profiles/v1/counts")["people"]
    assert isinstance(before, int)
    page.go(f"{served.url}/#key={served.secret_key}")
    page.until(PEOPLE, f"^{before:,}$")
    served.send([order(f"live-{n}", 10) for n in range(1200)])
    page.until("#incoming .now .value", r"^[1-9]")  # for some seconds only
    page.until(PEOPLE, f"^{before + 1200:,}$")
    page.until("#story", f"{before + 1200:,} people are known")
    page.until("#purpose", "Collects what customers do")
    is_quiet(page)


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [("mts_nobody_issued_this", "not accepted"), ("mtw_any", "write key.*secret key begins")],
)
def test_a_wrong_key_says_what_to_do(
    served: Platform, page: Browser, wrong: str, cure: str
) -> None:
    page.go(served.url)
    for given, seen in ((wrong, ("#refused", cure)), (served.secret_key, ("#incoming", "events"))):
        page.until("#key")
        page.ask("fill", selector="#key", text=given)
        page.ask("click", selector="#ask button")
        page.until(*seen)
    page.gone("#refused")


def test_what_is_not_hosted_is_left_out(tmp_path: Path, page: Browser) -> None:
    with platform(tmp_path, MARTECH_MODULES="access,tracking,profiles") as few:
        page.go(f"{few.url}/#key={few.secret_key}")
        page.until("#incoming .now", "events a second")
        page.until("#house li", "profiles")
        for panel in ("#segments", "#campaign", "#incoming .history"):
            page.gone(panel)
        said = page.list("said")
        assert all("404" in line for line in said), said  # the browser's own word for a question


def test_what_a_peer_told_is_not_called_heard_while_it_is_away(
    tmp_path: Path, page: Browser
) -> None:
    away = {"MARTECH_PEERS": f"tracking=http://127.0.0.1:{free_port()}"}
    secret = {"MARTECH_PEER_SECRET": "0123456789abcdef"}
    with platform(tmp_path, MARTECH_MODULES="access,profiles", **away, **secret) as alone:
        page.go(alone.url)
        page.until(
            "#story", "2 modules, but what tracking told cannot be heard: its host does not answer"
        )
        page.until("#house li[data-state=bad]", "profiles.*cannot hear tracking")
        page.until("#house li[data-state=good]", "access.*ready.*receives from no other module")
        is_quiet(page)


TOLD = [
    ({"trait": "email", "is": "exists"}, "Email is known"),
    ({"trait": "city", "is": "one_of", "value": ["Ulm", "Bonn"]}, "City is one of Ulm, Bonn"),
    ({"not": {"trait": "age", "is": "less_than", "value": 18}}, "Not (age is less than 18)"),
    (
        {"event": "Seen", "at_least": 1, "at_most": 5, "within": "P30D"},
        "Did “Seen” at least once and at most 5 times within 30 days",
    ),
    ({"event": "Seen", "less_than": 3}, "Did “Seen” fewer than 3 times"),
    ({"event": "Seen", "at_most": 0, "within": "PT1H"}, "Never did “Seen” within 1 hour"),
    (
        {
            "all": [
                {"trait": "email", "is": "exists"},
                {"event": "Bought", "at_least": 100},
                {"event": "Bought", "sum": "revenue", "at_least": 5000},
            ]
        },
        (
            "Email is known and did “Bought” at least 100 times"
            " and total revenue of “Bought” is at least 5,000"
        ),
    ),
    (
        {
            "any": [
                {
                    "event": "Bought",
                    "sum": "products.total",
                    "more_than": 9,
                    "where": [
                        {"property": "channel", "is": "equals", "value": "web"},
                        {"property": "gift", "is": "missing"},
                    ],
                    "within": "P1W",
                },
                {"trait": "club", "is": "contains", "value": "x"},
            ]
        },
        (
            "Products.total of “Bought” (where channel is web and gift is not known) within 1 week"
            " is more than 9 or club contains x"
        ),
    ),
]


def test_a_condition_reads_as_a_sentence(tmp_path: Path, page: Browser) -> None:
    with platform(tmp_path) as served:
        for n, (condition, _) in enumerate(TOLD):
            segment = {"name": f"The {n}.", "condition": condition}
            served.post("/personalization/v1/segments", segment)
        page.go(f"{served.url}/#key={served.secret_key}")
        for n, (_, sentence) in enumerate(TOLD):
            page.until(f"#segments li:has-text('The {n}.') .condition", f"^{re.escape(sentence)}$")
        is_quiet(page)


def test_a_key_that_may_not_look_is_told_so(served: Platform, page: Browser) -> None:
    issued = served.post(
        "/access/v1/keys", {"name": "half", "kind": "secret", "scopes": ["tracking:read"]}
    )
    page.go(f"{served.url}/#key={issued['token']}")
    page.until("#incoming .now", "events a second")
    page.until("#segments .note", "personalization:read")
    assert page.sees("#leave")


def test_when_the_server_goes_it_says_so_and_comes_back_with_it(
    tmp_path: Path, page: Browser
) -> None:
    with platform(tmp_path) as first:
        page.go(f"{first.url}/#key={first.secret_key}")
        page.until("#incoming .now", "events a second")
        page.until("#pulse", "live")
    page.until("#pulse", r"stopped answering at \d\d:\d\d:\d\d\. What you see is from then")
    assert page.sees("#incoming")
    with platform(tmp_path, port=first.port) as again:
        again.send([order("late", 5)])
        page.until("#pulse", "live")
        page.until(PEOPLE, "^1$")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("key", [True, False])
def test_it_fits_and_can_be_read(
    served: Platform, page: Browser, scheme: str, width: int, key: bool
) -> None:
    page.ask("look", width=width, height=900, scheme=scheme)
    page.go(f"{served.url}/#key={served.secret_key if key else ''}")
    page.until("#incoming .now" if key else "#welcome label")
    page.until("#house li", "tracking")
    there = page.ask("widths")
    assert there == [width, width], EVERYWHERE
    shown = page.ask("contrasts")
    assert isinstance(shown, list)
    assert [one for one in shown if one["contrast"] < 4.5] == [], EVERYWHERE
    is_quiet(page)


HOSTILE = "<img src=x onerror=alert(1)>"
MAIL = '<p>Thank you, {{ profile.traits.name }}. <a href="{{ unsubscribe_url }}">No more</a></p>'


def member(number: int) -> dict[str, object]:
    traits = {"email": f"member-{number}@example.com", "name": HOSTILE, "club": HOSTILE}
    return {"type": "identify", "userId": f"member-{number}", "traits": traits}


def launch(served: Platform, page: Browser) -> None:
    """A campaign to everybody in the club, by names that would be markup, while *page* looks."""
    page.go(f"{served.url}/#key={served.secret_key}")
    served.send([member(n) for n in range(3)])
    page.until("#story", "3 people are known")
    content = served.post(
        "/content/v1/templates", {"name": HOSTILE, "subject": HOSTILE, "html": MAIL}
    )
    served.post(f"/content/v1/templates/{content['id']}/publish", {})
    club = {"trait": "club", "is": "equals", "value": HOSTILE}
    segment = served.post("/personalization/v1/segments", {"name": HOSTILE, "condition": club})
    page.until("#segments li .value", "^3$")
    plan = {"name": HOSTILE, "segment_id": segment["id"], "content_id": content["id"]}
    campaign = served.post("/campaigns/v1/campaigns", plan)
    page.until("#campaign .pill", "draft")
    served.post(f"/campaigns/v1/campaigns/{campaign['id']}/launch")


def test_a_campaign_is_told_from_its_audience_to_what_it_brought(
    tmp_path: Path, page: Browser
) -> None:
    with platform(tmp_path) as served:
        launch(served, page)
        page.until("#campaign [data-key=delivered] .value", "^3$")
        page.until("#campaign .pill", "completed")
        served.send([order("member-1", 1234.5, HOSTILE), order("somebody", 99)])
        page.until("#campaign [data-key=converted] .value", "^1$")
        page.until("#story", r"1 of those who got it bought afterwards, for \$1,235")
        page.until("#campaign .departments", re.escape(HOSTILE))
        page.until("[data-tile=revenue] .value", r"^\$1,334")
        page.until("#campaign .days svg[aria-label*='highest is $1,235']")
        assert page.text("#campaign h3") == HOSTILE
        assert page.ask("count", selector="main img") == 0
        is_quiet(page)


def test_that_mails_are_printed_and_none_leaves_is_told_plainly(
    tmp_path: Path, page: Browser
) -> None:
    with platform(tmp_path) as served:
        launch(served, page)
        page.until("#printed", "none leave: set MARTECH_DELIVERY_SMTP_URL")
        page.until("#campaign .pill", "completed")
        page.until("#story", "was printed for 3")
        assert not page.sees("#campaign .problem")
        is_quiet(page)
    with platform(tmp_path, MARTECH_DELIVERY_SMTP_URL="smtp://127.0.0.1:9?tls=none") as again:
        page.go(f"{again.url}/#key={served.secret_key}")
        page.until("#campaign .problem", "Mails are printed to the log, none leave")
        assert not page.sees("#printed")


def test_a_mail_server_that_does_not_answer_is_told_plainly(tmp_path: Path, page: Browser) -> None:
    with platform(tmp_path, MARTECH_DELIVERY_SMTP_URL="smtp://127.0.0.1:9?tls=none") as served:
        launch(served, page)
        page.until("#campaign .problem", r"127\.0\.0\.1:9")
        page.until("#story", "waits for the mail server, 0 of 3 delivered")
        page.until("#campaign .rest", "3 (waiting|to be tried again)")
        is_quiet(page)
