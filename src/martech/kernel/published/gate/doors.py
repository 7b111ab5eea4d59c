"""Who may come in: OpenAPI's `security`, and the schemes that it names."""

from collections.abc import Iterator, Mapping, Sequence

from martech.kernel.published.gate.breach import Broken
from martech.kernel.published.gate.places import Place, root
from martech.kernel.published.gate.promises import changed, unknown

Way = Mapping[str, Sequence[str]]
"""Scheme -> the scopes that it has to have; all of them together let somebody in."""


def entrances(then: Place, now: Place) -> Iterator[Broken]:
    """Whoever came in comes in: no way is gone, no door has got its first lock, and what a scheme
    is has not changed."""
    old, new = _ways(then), _ways(now)
    if {} in new:
        return
    if not all(any(_opens(way, there) for there in new) for way in old):
        yield changed("security-changed", then, now)
    for scheme in {name for way in old for name in way}:
        yield from _scheme(*(_defined(place, scheme) for place in (then, now)))


def _ways(security: Place) -> Sequence[Way]:
    """Where nothing is said, everybody may."""
    return security.here or [{}]


def _opens(held: Way, asked: Way) -> bool:
    """Whether who holds what was enough has what is asked now."""
    return all(name in held and {*scopes} <= {*held[name]} for name, scopes in asked.items())


def _scheme(then: Place, now: Place) -> Iterator[Broken]:
    """Where it is gone, the ways have changed as well, or nobody goes them."""
    if then.here is not None and now.here is not None:
        for broken in unknown(then, now, {"bearerFormat"}):
            yield Broken("security-changed", broken.pointer, broken.was, broken.now)


def _defined(security: Place, scheme: str) -> Place:
    return root(security.document).at("components", "securitySchemes", scheme).followed()
