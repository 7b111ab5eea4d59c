"""A draft as somebody would get it."""

from collections.abc import Mapping
from datetime import UTC, datetime

from martech.kernel.templates import TemplateError
from martech.modules.content.contract import Preview
from martech.modules.content.domain.compiling import compiled, parse
from martech.modules.content.domain.drafts import UNSUBSCRIBE, Texts


def values_of(sample: Mapping[str, object]) -> dict[str, object]:
    """What a mail knows: the sample, and a link where it has none."""
    return {"profile": {}, "unsubscribe_url": UNSUBSCRIBE, **sample}


def sampled(sample: Mapping[str, object], at: datetime) -> dict[str, object]:
    """*sample*, with the moment at which a mail would be written if it says none."""
    return {"now": at.astimezone(UTC).isoformat(timespec="seconds"), **sample}


def preview(texts: Texts, sample: Mapping[str, object]) -> Preview:
    """Compiled and filled in. Raises `TemplateError` with part, line and column."""
    made, values = compiled(texts), values_of(sample)
    field, source = texts.body
    _rendered(source, field, values, html=True)  # its lines are those that people wrote
    return Preview(
        subject=_rendered(made.subject, "subject", values, html=False),
        html=_rendered(made.html, field, values, html=True),
        text=_rendered(made.text, "text", values, html=False),
    )


def _rendered(source: str, field: str, values: Mapping[str, object], *, html: bool) -> str:
    try:
        return parse(source, field, html=html).render(values)
    except TemplateError as error:
        error.field = field
        raise
