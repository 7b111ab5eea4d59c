"""Links that know whose mail they stood in: signed, and leading nowhere but to what is stored.

/c/<token>   a link of the mail was followed      tenant · message · link · signature
/o/<token>   its picture was loaded               tenant · message · signature
/u/<token>   no more of these                     tenant · message · signature

Those of a preview are made alike, for no message at all: they look the same and do nothing.
"""

import hmac
import re
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from functools import cache, lru_cache
from hashlib import sha256
from html.entities import html5
from typing import Literal
from uuid import UUID

import msgspec

Kind = Literal["c", "o", "u"]

KEY_BYTES = 32
LINK_BYTES = 12
MAC_BYTES = 16
ID_BYTES = 16
NOBODYS = UUID(bytes=b"only-in-previews")
"""The message of a link in a preview; no message is called so."""

SIZES: dict[str, int] = {"c": LINK_BYTES, "o": 0, "u": 0}

LONGEST = 8000
"""Characters of a link that is followed through us; a longer one stays as it is."""

_HREF = re.compile(
    r"""(<a(?:rea)?[\s/](?:[^<>]*?[\s"'/])?href\s*=\s*)(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+))""",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_FOLLOWED = re.compile(r"https?://[^/?#]", re.IGNORECASE)
_END = re.compile(r"</body\s*>", re.IGNORECASE)
_REFERRED = re.compile(
    r"&(?:#([0-9]{1,7});?|#[xX]([0-9a-fA-F]{1,6});?|([A-Za-z][A-Za-z0-9]*;?)(=?))"
)
_DROPPED = re.compile(r"[\x00-\x1f\x7f]+")
_FOREIGN = re.compile(r"[^!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]")


class Token(msgspec.Struct, frozen=True, gc=False):
    """What a token says; to be believed when it `holds`."""

    kind: Kind
    tenant: UUID
    message_id: UUID
    link_id: str
    """Of a click; empty otherwise."""

    said: bytes
    mac: bytes

    @property
    def previews(self) -> bool:
        """Whether it stood in a preview. To know that no key is needed: it is worth nothing."""
        return self.message_id == NOBODYS

    def holds(self, key: bytes) -> bool:
        """Whether the tenant's *key* signed it."""
        return hmac.compare_digest(_mac(key, self.kind, self.said), self.mac)


class Signer(msgspec.Struct, frozen=True, gc=False):
    """Makes the tokens of one tenant."""

    key: bytes
    tenant: UUID
    previews: bool = False

    def for_preview(self) -> "Signer":
        """Its tokens are as long, so that nothing else of a mail changes with them."""
        return Signer(self.key, self.tenant, previews=True)

    def token(self, kind: Kind, message_id: UUID, link_id: str = "") -> str:
        message = NOBODYS if self.previews else message_id
        said = self.tenant.bytes + message.bytes + bytes.fromhex(link_id)
        return urlsafe_b64encode(said + _mac(self.key, kind, said)).decode()

    def url(self, base: str, kind: Kind, message_id: UUID, link_id: str = "") -> str:
        """*base* is where we are reached, such as ``https://mail.example``."""
        return f"{base}/{kind}/{self.token(kind, message_id, link_id)}"


class Rewritten(msgspec.Struct, frozen=True):
    html: str
    text: str
    links: dict[str, str]
    """Where each link id leads: to be stored before the mail leaves."""


def opened(kind: Kind, token: str) -> Token | None:
    """What *token* says, or None if it is none. Nothing is verified yet: see `Token.holds`."""
    ends = 2 * ID_BYTES + SIZES[kind]
    try:
        data = b64decode(token, altchars=b"-_", validate=True)
    except (NotBase64, ValueError):
        return None
    if len(data) != ends + MAC_BYTES:
        return None
    return Token(
        kind,
        UUID(bytes=data[:ID_BYTES]),
        UUID(bytes=data[ID_BYTES : 2 * ID_BYTES]),
        data[2 * ID_BYTES : ends].hex(),
        data[:ends],
        data[ends:],
    )


@lru_cache(4096)
def link_id(url: str) -> str:
    """The same for the same URL, always."""
    return sha256(url.encode()).digest()[:LINK_BYTES].hex()


def rewrite(html: str, text: str, *, base: str, signer: Signer, message_id: UUID) -> Rewritten:
    """Lead every http link of a rendered mail through us, and add the picture that tells of an
    opening. The link to unsubscribe, and whatever else leads to *base*, stays as it is."""
    links: dict[str, str] = {}
    own = f"{base}/"

    @cache
    def followed(url: str) -> str | None:
        target = normal(url)
        if target is None or target.startswith(own):
            return None
        links[id_ := link_id(target)] = target
        return signer.url(base, "c", message_id, id_)

    made = _with_picture(_in_html(html, followed), signer.url(base, "o", message_id))
    return Rewritten(made if html.strip() else html, _in_text(text, followed), links)


def normal(url: str) -> str | None:
    """An absolute http URL as a redirect may name it: ASCII, no blanks, no controls. None for
    everything else (mailto:, #, javascript:, relative ones, one without a host)."""
    clean = _DROPPED.sub("", url.strip())
    if not _FOLLOWED.match(clean) or len(clean) > LONGEST:
        return None
    return _FOREIGN.sub(_percent, clean)


def unescape(value: str) -> str:
    """What an attribute's *value* means, as browsers read it: ``?a=1&copy=2`` is no ©."""
    return _REFERRED.sub(_character, value) if "&" in value else value


def _in_html(html: str, followed: Callable[[str], str | None]) -> str:
    def replace(found: re.Match[str]) -> str:
        value = next(group for group in found.groups()[1:] if group is not None)
        url = followed(unescape(value))
        return found[0] if url is None else f'{found[1]}"{url}"'

    return _HREF.sub(replace, html)


def _in_text(text: str, followed: Callable[[str], str | None]) -> str:
    def replace(found: re.Match[str]) -> str:
        whole = found[0]
        url = _without_punctuation(whole)
        led = followed(url)
        return whole if led is None else led + whole[len(url) :]

    return _PLAIN.sub(replace, text)


def _without_punctuation(url: str) -> str:
    """What ends the sentence, or closes a bracket that was opened before, is not the URL's."""
    while url and (url[-1] in ".,;:!?'*_" or (url[-1] in ")]" and _unopened(url))):
        url = url[:-1]
    return url


def _unopened(url: str) -> bool:
    opening = "(" if url[-1] == ")" else "["
    return url.count(url[-1]) > url.count(opening)


def _with_picture(html: str, url: str) -> str:
    picture = f'<img src="{url}" width="1" height="1" alt="" style="border:0;height:1px;width:1px">'
    ends = list(_END.finditer(html))
    at = ends[-1].start() if ends else len(html)
    return html[:at] + picture + html[at:]


def _character(found: re.Match[str]) -> str:
    decimal, hexadecimal, name, equals = found.groups()
    if name is None:
        number = int(decimal) if decimal else int(hexadecimal, 16)
        return chr(number) if 0 < number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
    if name not in html5 or (equals and not name.endswith(";")):
        return found[0]
    return html5[name] + equals


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode(errors="replace"))


def _mac(key: bytes, kind: str, said: bytes) -> bytes:
    return hmac.digest(key, kind.encode() + said, "sha256")[:MAC_BYTES]
