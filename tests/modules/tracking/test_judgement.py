"""The verdict on one item: what is accepted, what is not, and what its sender is told."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from martech.modules.tracking.contract import EMPTY, KINDS, Kind, TrackedEvent
from martech.modules.tracking.domain.items import EVENT_BYTES, ID_LENGTH, Rejection
from tests.modules.tracking.items import NOON, accepted, item, judged, rejected

GOOD: dict[Kind, dict[str, object]] = {
    "identify": {"userId": "ada", "traits": {"email": "ada@example.com"}},
    "track": {"userId": "ada", "event": "Order Completed", "properties": {"revenue": 3}},
    "page": {"anonymousId": "x", "name": "Home", "properties": {"url": "https://example.com"}},
    "screen": {"anonymousId": "x", "name": "Start"},
    "group": {"userId": "ada", "groupId": "acme", "traits": {"plan": "gold"}},
    "alias": {"userId": "ada", "previousId": "x"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_accepted_by_its_path_and_in_a_batch(kind: Kind) -> None:
    by_path = accepted(GOOD[kind], kind=kind)
    in_batch = accepted({**GOOD[kind], "type": kind})
    assert by_path == in_batch
    assert by_path.type == kind


def test_what_is_free_passes_through_as_the_bytes_it_came_in() -> None:
    event = accepted(b'{"type":"track","event":"x","userId":"u","properties": {"n" : 1.50}}')
    assert bytes(event.properties) == b'{"n" : 1.50}'
    assert event.traits == EMPTY


def test_what_is_absent_may_be_null() -> None:
    event = accepted(
        item(anonymousId=None, traits=None, properties=None, context=None, messageId=None)
    )
    assert event.anonymous_id is None
    assert event.properties == EMPTY
    assert event.message_id == "r-0000"


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_a_blank_message_id_is_replaced(blank: str | None) -> None:
    assert accepted(item(messageId=blank)).message_id == "r-0000"


def test_the_items_of_a_request_came_in_the_order_of_their_places() -> None:
    places = (0, 1, 9, 10, 99, 100, 2499)
    items = [accepted(item(), place=place) for place in places]
    assert [event.timestamp for event in items] == sorted({event.timestamp for event in items})
    assert [event.message_id for event in items] == sorted({event.message_id for event in items})
    assert all(event.timestamp == event.received_at for event in items)


def test_a_place_does_not_change_when_it_happened() -> None:
    told = item(timestamp="2026-11-21T10:00:00Z")
    sent = {**told, "sentAt": "2026-11-21T11:00:00Z"}
    for each, hours in ((told, 2), (sent, 1)):
        first, last = accepted(each), accepted(each, place=7)
        assert first.timestamp == last.timestamp == NOON - timedelta(hours=hours)
        assert first.received_at < last.received_at


def test_a_message_id_is_any_text() -> None:
    assert accepted(item(messageId="node-next-17-é")).message_id == "node-next-17-é"


def test_a_number_is_good_for_an_id() -> None:
    assert accepted(item(userId=42)).user_id == "42"


def test_whom_it_is_about_is_the_user_or_else_the_device() -> None:
    assert accepted(item(userId="u", anonymousId="a")).person_key == "user:u"
    assert accepted(item(userId=None, anonymousId="a")).person_key == "anonymous:a"


def test_rudderstack_identifies_with_traits_in_the_context() -> None:
    event = accepted({"type": "identify", "userId": "u", "context": {"traits": {"a": 1}}})
    assert msgspec.json.decode(event.traits) == {"a": 1}


def test_the_category_of_a_page_goes_to_its_properties() -> None:
    page = {"type": "page", "userId": "u", "name": "Home", "category": "Docs"}
    event = accepted({**page, "properties": {"title": "Hi"}})
    assert event.event == "Home"
    assert msgspec.json.decode(event.properties) == {"category": "Docs", "title": "Hi"}


def test_an_item_says_better_than_its_batch_when_it_was_sent() -> None:
    told = item(timestamp="2026-11-21T10:00:00Z", sentAt="2026-11-21T10:30:00Z")
    event = accepted(told, sent_at="2026-11-21T11:00:00Z")
    assert event.timestamp == NOON - timedelta(minutes=30)


@pytest.mark.parametrize(
    ("told", "field"),
    [
        (item(userId=None), "userId"),
        (item(event=None), "event"),
        (item(event="  "), "event"),
        (item(event=7), "event"),
        (item(type="buy"), "type"),
        (item(type=None), "type"),
        (item(type=["track"]), "type"),
        (item(userId={"id": 1}), "userId"),
        (item(userId=1.5), "userId"),
        (item(userId=True), "userId"),
        (item(messageId=[]), "messageId"),
        (item(timestamp="yesterday"), "timestamp"),
        (item(timestamp=True), "timestamp"),
        (item(timestamp="2026-11-21T10:00:00Z", originalTimestamp={}), "originalTimestamp"),
        (item(properties=[1]), "properties"),
        (item(properties="x"), "properties"),
        (item(context=3), "context"),
        (item(userId="u" * (ID_LENGTH + 1)), "userId"),
        (item(properties={"products": [{"sku": "a\0b"}]}), "properties.products.0.sku"),
        (item(properties={"a\0b": 1}), "properties.a\N{REPLACEMENT CHARACTER}b"),
        (item(properties={"n": [10**30]}), "properties.n.0"),
        ({"type": "identify", "userId": "u", "traits": 3}, "traits"),
        ({"type": "group", "userId": "u"}, "groupId"),
        ({"type": "alias", "userId": "u"}, "previousId"),
        ({"type": "alias", "previousId": "u"}, "userId"),
        (b'{"type":"track","event":"x","userId":"u","userId":"v"}', "userId"),
        (b'{"type":"track","event":"x","userId":"u","properties":{"a":1,"b":{"c":1,"c":2}}}', "c"),
        (b'{"type":"track","event":"x","userId" :"u" , "properties":{"a":1,"a" :2}}', "a"),
    ],
)
def test_a_rejection_names_the_field_and_helps(told: object, field: str) -> None:
    rejection = rejected(told)
    assert rejection.field == field
    assert rejection.reason.endswith(".")
    assert len(rejection.reason) > 20


@pytest.mark.parametrize("told", [b"3", b'"x"', b"[]", b"null", b"{", b"", b'{"a":"\xff"}'])
def test_what_is_no_object_is_rejected(told: bytes) -> None:
    assert rejected(told).message_id == "r-0000"


def test_a_rejection_is_found_by_its_message_id() -> None:
    rejection = rejected(item(messageId="m1", event=None))
    assert (rejection.message_id, rejection.type) == ("m1", "track")
    assert rejected({"type": "nonsense", "messageId": "m2"}).type == "unknown"


def test_names_that_only_look_doubled_are_not() -> None:
    told = item(properties={"a": '":', "b": '\\":"a":', "c": {"a": 1}, 'd":': "x"})
    accepted(told)
    accepted(msgspec.json.format(msgspec.json.encode(told), indent=4))


def test_the_limit_of_an_event_is_in_bytes() -> None:
    empty = len(msgspec.json.encode(item(properties={"x": ""})))
    accepted(item(properties={"x": "e" * (EVENT_BYTES - empty)}))
    too_much = "é" * ((EVENT_BYTES - empty) // 2 + 1)
    rejection = rejected(item(messageId="m", properties={"x": too_much}))
    assert rejection.message_id == "m"
    assert "32,768" in rejection.reason


def test_nesting_is_bounded() -> None:
    def nested(levels: int) -> bytes:
        inner = b'{"a":' * levels + b"1" + b"}" * levels
        return b'{"type":"track","event":"x","userId":"u","properties":' + inner + b"}"

    accepted(nested(31))
    for levels in (32, 100, 1000, 6000):
        assert isinstance(judged(nested(levels)), Rejection)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
FIELDS = (
    "type messageId userId anonymousId previousId groupId event name category"
    " traits properties context timestamp originalTimestamp sentAt"
)
fields = st.sampled_from(FIELDS.split())


@given(told=st.dictionaries(fields | st.text(), json), kind=st.none() | st.sampled_from(KINDS))
def test_no_json_raises_and_what_is_accepted_can_be_told(
    told: dict[str, object], kind: Kind | None
) -> None:
    verdict = judged(told, kind=kind)
    again = msgspec.json.decode(msgspec.json.encode(verdict), type=type(verdict))
    assert again == verdict
    assert "\0" not in msgspec.json.encode(verdict).decode().replace("\\u0000", "\0")


@given(raw=st.binary(max_size=300))
def test_no_bytes_raise(raw: bytes) -> None:
    assert isinstance(judged(raw), TrackedEvent | Rejection)


@given(properties=st.dictionaries(st.text(alphabet='a":\\ \t'), json, max_size=5))
def test_an_object_without_a_doubled_name_is_never_taken_for_one(
    properties: dict[str, object],
) -> None:
    for told in (item(properties=properties),):
        compact = msgspec.json.encode(told)
        for raw in (compact, msgspec.json.format(compact, indent=2)):
            verdict = judged(raw)
            assert isinstance(verdict, TrackedEvent) or "twice" not in verdict.reason


@given(
    name=st.text(max_size=5),
    before=st.sampled_from(["", " "]),
    other=st.text(max_size=8),
    value=json,
)
def test_a_doubled_name_is_always_found(name: str, before: str, other: str, value: object) -> None:
    key = msgspec.json.encode(name).decode()
    rest = msgspec.json.encode(other).decode()
    inner = f'{{{key}{before}:1,"z":{rest},{key}:{msgspec.json.encode(value).decode()}}}'
    raw = f'{{"type":"track","event":"x","userId":"u","properties":{inner}}}'
    assert isinstance(judged(raw.encode()), Rejection)
