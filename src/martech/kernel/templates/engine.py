"""python-liquid as we use it: what it knows, and the guards that stand where it loops and keeps."""

from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Any, TextIO, cast

import msgspec
from liquid import BoundTemplate, Environment, RenderContext
from liquid.ast import Node
from liquid.builtin import content, illegal, output
from liquid.builtin.expressions import LoopExpression
from liquid.builtin.tags import (
    assign_tag,
    capture_tag,
    case_tag,
    comment_tag,
    cycle_tag,
    decrement_tag,
    doc_tag,
    echo_tag,
    for_tag,
    if_tag,
    ifchanged_tag,
    increment_tag,
    inline_comment_tag,
    liquid_tag,
    tablerow_tag,
    unless_tag,
)
from liquid.exceptions import (
    LiquidError,
    LiquidInterrupt,
    LiquidSyntaxError,
    LoopIterationLimitError,
)
from liquid.stream import TokenStream
from liquid.stringify import to_liquid_string
from liquid.tag import Tag

from martech.kernel.templates import limits
from martech.kernel.templates.context import Context
from martech.kernel.templates.filters import FILTERS
from martech.kernel.templates.html import Captured


class Rendering(BoundTemplate):
    """A parsed template. Everything that changes while it renders is in a `Context`."""

    def fill(self, values: Mapping[str, object]) -> str:
        """The text. Raises what the engine raises."""
        context = Context(self, values)
        written = context.get_buffer()
        for node in self.nodes:
            try:
                node.render(context, written)
            except LiquidInterrupt as stray:
                raise LiquidSyntaxError(f"unexpected {stray}", token=node.token) from None
            except LiquidError as error:
                error.token = error.token or node.token
                raise
        return written.getvalue()


def printed(value: object, *, escaped: bool) -> str:
    """As the language prints it, and never as Python does: nothing for nothing, JSON for what has
    members."""
    if isinstance(value, list | tuple):
        return "".join(printed(each, escaped=escaped) for each in value)
    if isinstance(value, dict):
        value = msgspec.json.encode(value).decode()
    return to_liquid_string(value, autoescape=escaped)


class _Printing(output.OutputNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        value = self.expression.evaluate(context)
        return buffer.write(printed(value, escaped=context.autoescape))


class _Output(output.Output):
    node_class = _Printing


class _Turns(LoopExpression):
    """A loop whose length is known before it begins, and whose turns are counted."""

    __slots__ = ()

    @classmethod
    def of(cls, loop: LoopExpression) -> "_Turns":
        return cls(
            loop.token,
            loop.identifier,
            loop.iterable,
            limit=loop.limit,
            offset=loop.offset,
            reversed_=loop.reversed,
            cols=loop.cols,
        )

    def _to_iter(self, obj: object, context: RenderContext) -> tuple[Iterator[Any], int]:
        items, length = super()._to_iter(obj, context)
        if length > limits.TURNS:
            raise LoopIterationLimitError("turns", token=self.token)
        return items, length

    def _slice(
        self,
        it: Iterator[object],
        length: int,
        context: RenderContext,
        *,
        limit: int | None,
        offset: int | str | None,
    ) -> tuple[Iterator[object], int]:
        items, length = super()._slice(it, length, context, limit=limit, offset=offset)
        return cast("Context", context).spent.counted(items), length


class _Capturing(capture_tag.CaptureNode):
    def _assign(self, context: RenderContext, buf: StringIO) -> None:
        cast("Context", context).spent.check()
        written = buf.getvalue()
        context.assign(self.name, Captured(written) if context.autoescape else written)


class _Capture(capture_tag.CaptureTag):
    node_class = _Capturing


class _For(for_tag.ForTag):
    def parse(self, stream: TokenStream) -> Node:
        node = cast("for_tag.ForNode", super().parse(stream))
        node.expression = _Turns.of(node.expression)
        return node


class _TableRow(tablerow_tag.TablerowTag):
    def parse(self, stream: TokenStream) -> tablerow_tag.TablerowNode:
        node = super().parse(stream)
        node.expression = _Turns.of(node.expression)
        return node


TAGS: list[type[Tag]] = [
    *(content.Literal, _Output, illegal.Illegal, echo_tag.EchoTag, liquid_tag.LiquidTag),
    *(if_tag.IfTag, unless_tag.UnlessTag, case_tag.CaseTag, ifchanged_tag.IfChangedTag),
    *(_For, _TableRow, for_tag.BreakTag, for_tag.ContinueTag, cycle_tag.CycleTag),
    *(assign_tag.AssignTag, _Capture),
    *(increment_tag.IncrementTag, decrement_tag.DecrementTag),
    *(comment_tag.CommentTag, inline_comment_tag.InlineCommentTag, doc_tag.DocTag),
]
"""All but include and render: a template is one text."""


class Engine(Environment):
    """The language: its tags, its filters, its limits."""

    block_nesting_limit = limits.DEPTH
    context_depth_limit = limits.DEPTH
    loop_iteration_limit = limits.TURNS
    local_namespace_limit = limits.HELD
    output_stream_limit = limits.PRINTED
    template_class = Rendering

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        for tag in TAGS:
            self.add_tag(tag)
        self.filters.update(FILTERS)

    def read(self, source: str) -> Rendering:
        return cast("Rendering", self.from_string(source))


HTML = Engine(autoescape=True)
TEXT = Engine(autoescape=False)
