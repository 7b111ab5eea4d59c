"""What we sign, dkimpy verifies; what was changed on the way, it does not."""

from base64 import b64decode, b64encode
from datetime import UTC, datetime
from functools import cache
from types import SimpleNamespace
from typing import Any

import dkim
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from dkim.canonicalization import Relaxed
from hypothesis import given, settings
from hypothesis import strategies as st

from martech.modules.delivery.domain.dkim import Seal, relaxed_body
from martech.modules.delivery.domain.mail import build
from tests.modules.delivery.letters import letter, parsed, texts

KINDS = ["rsa", "ed25519"]


class VerifyKey:
    """What dkimpy asks of PyNaCl, answered by the library that we have."""

    def __init__(self, key: bytes, encoder: object) -> None:
        self.key = ed25519.Ed25519PublicKey.from_public_bytes(b64decode(key))

    def verify(self, digest: bytes, signature: bytes) -> None:
        self.key.verify(signature, digest)


dkim.nacl = SimpleNamespace(
    signing=SimpleNamespace(VerifyKey=VerifyKey),
    encoding=SimpleNamespace(Base64Encoder=None),
    exceptions=SimpleNamespace(BadSignatureError=InvalidSignature, ValueError=ValueError),
)


def pem(key: Any, sealed: KeySerializationEncryption | None = None) -> bytes:
    done: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed or NoEncryption())
    return done


@cache
def key_of(kind: str) -> Any:
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ed25519.Ed25519PrivateKey.generate()


@cache
def seal_of(kind: str) -> Seal:
    return Seal(pem(key_of(kind)), "s1", "news.example")


def published(kind: str) -> bytes:
    """The record in the DNS."""
    public = key_of(kind).public_key()
    if kind == "rsa":
        raw = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"v=DKIM1; k={kind}; p={b64encode(raw).decode()}".encode()


def holds(data: bytes, kind: str) -> bool:
    asked = []

    def dns(name: bytes, timeout: int = 5) -> bytes:
        asked.append(name)
        return published(kind)

    verified = dkim.verify(data, dnsfunc=dns)
    assert asked == [b"s1._domainkey.news.example."]
    return bool(verified)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(subject=texts, name=texts, html=texts, text=texts)
def test_the_signature_holds_whatever_is_in_the_mail(
    kind: str, subject: str, name: str, html: str, text: str
) -> None:
    made = letter(subject=subject, to_name=name, html=html, text=text)
    assert holds(build(made, seal_of(kind)), kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b"Subject: Hello", b"Subject: Goodbye"),
        (b"To: ", b"To: eve@example.com, "),
        (b"\r\nFrom: ", b"\r\nFrom: eve@example.com\r\nFrom: "),
        (b"Hello Ada", b"Hello Eve"),
        (b"One-Click", b"Two-Click"),
        (b"<https://mail.example/", b"<https://evil.example/"),
        (b"\r\nSubject: ", b"\r\nSubject: Free!\r\nSubject: "),
        (b"\r\nList-Unsubscribe: ", b"\r\nList-Unsubscribe: <x:>\r\nList-Unsubscribe: "),
    ],
)
def test_what_was_changed_is_noticed(kind: str, was: bytes, becomes: bytes) -> None:
    data = build(letter(), seal_of(kind))
    assert holds(data, kind)
    assert was in data
    assert not holds(data.replace(was, becomes, 1), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_one_click_headers_are_signed(kind: str) -> None:
    signature = parsed(build(letter(), seal_of(kind)))["DKIM-Signature"]
    tags = dict(tag.strip().split("=", 1) for tag in signature.split(";"))
    signed = tags["h"].replace(" ", "").split(":")
    assert {"list-unsubscribe", "list-unsubscribe-post"} <= set(signed)
    assert {"from", "to", "subject", "date", "message-id"} <= set(signed)
    assert tags["t"] == str(int(datetime(2026, 11, 21, 7, 8, 9, tzinfo=UTC).timestamp()))


@pytest.mark.parametrize("kind", KINDS)
def test_signing_changes_nothing_else_and_is_always_the_same(kind: str) -> None:
    signed = build(letter(), seal_of(kind))
    assert signed == build(letter(), seal_of(kind))
    assert signed.startswith(b"DKIM-Signature: v=1; a=")
    assert signed.endswith(build(letter()))
    assert all(len(line) <= 78 for line in signed.split(b"\r\nDate:")[0].split(b"\r\n"))


@given(st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"a", b"."]), max_size=30).map(b"".join))
def test_bodies_are_relaxed_as_dkimpy_does(body: bytes) -> None:
    whole = body + b"\r\n"
    assert relaxed_body(whole) == Relaxed.canonicalize_body(whole)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (b"", "cannot be read"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "cannot be read"),
        (pem(key_of("ed25519"), BestAvailableEncryption(b"x")), "without a password"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "must be RSA of 1024 bits or more, or Ed"),
    ],
)
def test_a_wrong_key_is_refused_in_a_sentence(key: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Seal(key, "s1", "news.example")


@pytest.mark.parametrize("names", [("", "news.example"), ("s1", "a b"), ("s1", "x;y"), ("s1", "")])
def test_a_wrong_name_is_refused_in_a_sentence(names: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="is no DKIM"):
        Seal(pem(key_of("ed25519")), *names)
