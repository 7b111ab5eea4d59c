"""What is wrong with a template: where, and what to do about it."""

from liquid.exceptions import (
    BlockNestingError,
    ContextDepthError,
    LiquidError,
    LocalNamespaceLimitError,
    LoopIterationLimitError,
    OutputStreamLimitError,
)

from martech.kernel.errors import Invalid
from martech.kernel.templates import limits

_LIMITS: dict[type[LiquidError], str] = {
    BlockNestingError: f"Blocks stand more than {limits.DEPTH} deep in each other. Nest fewer.",
    ContextDepthError: f"Blocks stand more than {limits.DEPTH} deep in each other. Nest fewer.",
    LoopIterationLimitError: f"The loops take more than {limits.TURNS:,} turns. Loop over less.",
    LocalNamespaceLimitError: f"It keeps more than {limits.HELD:,} characters. Capture less.",
    OutputStreamLimitError: f"It prints more than {limits.PRINTED:,} bytes. Print less.",
}


class TemplateError(Invalid):
    """A template that cannot be read or rendered. Lines and columns count from 1."""

    title = "The template is not valid"

    def __init__(self, what: str, line: int, column: int, *, field: str | None = None) -> None:
        super().__init__(f"Line {line}, column {column}: {what}", field=field)
        self.what = what
        self.line = line
        self.column = column


class Refused(LiquidError):
    """What the engine would have done, and we would not. Its message is the whole sentence."""


def located(source: str, index: int) -> tuple[int, int]:
    """The line and the column of a character; those of the end where *index* is behind it."""
    before = source[: max(0, index)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def from_engine(error: LiquidError, source: str) -> TemplateError:
    """The engine's complaint in our words."""
    token = error.token
    at = token.start_index if token is not None else 0
    return TemplateError(_said(error), *located(source, at if at >= 0 else len(source)))


def _said(error: LiquidError) -> str:
    if isinstance(error, Refused):
        return str(error.message)
    for kind, sentence in _LIMITS.items():
        if isinstance(error, kind):
            return sentence
    message = str(error.message or "this cannot be read").rstrip(".").replace("Markup", "str")
    return f"{message[:1].upper()}{message[1:200]}. Mend it there."
