"""DKIM signatures (RFC 6376; RSA and, by RFC 8463, Ed25519), relaxed/relaxed.

`dkimpy` signs 166 mails a second; the tests have it check what is made here.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

WEAKEST = 1024
"""Bits of an RSA key that verifiers accept at all (RFC 8301); 2048 is what one should have."""

TWICE = ("from", "to", "subject", "list-unsubscribe", "list-unsubscribe-post")
"""Signed once more than they are there: a second one, added later, breaks the signature."""

CHUNK = 72

_GAPS = re.compile(rb"[ \t]{2,}|\t")
_FOLDS = re.compile(r"[ \t\r\n]+")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


class Seal:
    """A domain's key, under its name in the DNS: ``<selector>._domainkey.<domain>``."""

    def __init__(self, key: bytes, selector: str, domain: str) -> None:
        """*key* is PEM. Raises `ValueError` with a sentence that says what is wrong with it."""
        self._key = _private_key(key)
        for what, name in (("selector", selector), ("domain", domain)):
            if not _LABEL.fullmatch(name):
                raise ValueError(f"{name!r} is no DKIM {what}; it names a record in the DNS.")
        self.algorithm = "rsa-sha256" if isinstance(self._key, RSAPrivateKey) else "ed25519-sha256"
        self._names = f"d={domain}; s={selector};"

    def sign(self, headers: Sequence[tuple[str, str]], body: bytes, at: datetime) -> str:
        """The value of a DKIM-Signature over all *headers* and the *body*."""
        present = [name.lower() for name, _ in headers]
        signed = ":".join([*present, *(name for name in TWICE if name in present)])
        digest = b64encode(sha256(relaxed_body(body)).digest()).decode()
        value = (
            f"v=1; a={self.algorithm}; c=relaxed/relaxed;\r\n {self._names} "
            f"t={int(at.timestamp())};\r\n h={_folded(signed)};\r\n bh={digest};\r\n b="
        )
        # those that are there, from the bottom up where there are several; then this one itself
        lines = [relaxed_header(name, text) + "\r\n" for name, text in headers]
        data = "".join([*lines, relaxed_header("dkim-signature", value)]).encode()
        signature = b64encode(self._signature(data)).decode()
        chunks = [signature[start : start + CHUNK] for start in range(0, len(signature), CHUNK)]
        return value + "\r\n ".join(chunks)

    def _signature(self, data: bytes) -> bytes:
        if isinstance(self._key, RSAPrivateKey):
            return self._key.sign(data, PKCS1v15(), SHA256())
        return self._key.sign(sha256(data).digest())


def relaxed_header(name: str, value: str) -> str:
    """RFC 6376 3.4.2, without the end of the line."""
    return f"{name.lower()}:{_FOLDS.sub(' ', value).strip()}"


def relaxed_body(body: bytes) -> bytes:
    """RFC 6376 3.4.4."""
    lines = _GAPS.sub(b" ", body).replace(b" \r\n", b"\r\n")
    text = lines.rstrip(b" ")
    while text.endswith(b"\r\n"):
        text = text[:-2]
    return text + b"\r\n" if text else b""


def _folded(names: str) -> str:
    """A list of header names over several lines, broken after colons."""
    lines, line = [], ""
    for name in names.split(":"):
        if len(line) + len(name) > CHUNK:
            lines.append(line)
            line = ""
        line += f"{name}:"
    return "\r\n ".join([*lines, line]).removesuffix(":")


def _private_key(pem: bytes) -> RSAPrivateKey | Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(
            "The DKIM key cannot be read; it must be a private key in PEM, without a password."
        ) from None
    if isinstance(key, RSAPrivateKey) and key.key_size >= WEAKEST:
        return key
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise ValueError(f"The DKIM key must be RSA of {WEAKEST} bits or more, or Ed25519.")
