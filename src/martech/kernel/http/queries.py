"""What may stand behind the question mark. A filter with a misspelt name that was passed over would
answer another question than was asked."""

from litestar.handlers.base import BaseRouteHandler
from litestar.params import QueryParameter
from litestar.types import Guard

from martech.kernel.errors import Invalid
from martech.kernel.http.fields import SHOWN
from martech.kernel.http.guards import Connection


def known_only() -> Guard:
    """A guard of one router, which refuses parameters that the route does not take. What is open to
    all takes any: a link gets some on its way (``utm_source``), and clients send their own."""
    known: dict[BaseRouteHandler, tuple[str, ...]] = {}

    async def refuse_unknown(connection: Connection, handler: BaseRouteHandler) -> None:
        if not connection.scope["query_string"] or "scope" not in handler.opt:
            return
        taken = known.get(handler)
        if taken is None:
            taken = known[handler] = _taken(handler)
        for name in connection.query_params:
            if name not in taken:
                cure = f", or send one of: {', '.join(taken)}" if taken else "; none is taken"
                raise Invalid(
                    f"{name[:SHOWN]} is not a parameter here. Leave it out{cure}.",
                    field=name[:SHOWN],
                )

    return refuse_unknown


def _taken(handler: BaseRouteHandler) -> tuple[str, ...]:
    asked = handler.parsed_fn_signature.parameters.items()
    said = ((name, field.kwarg_definition) for name, field in asked)
    return tuple(kind.name or name for name, kind in said if isinstance(kind, QueryParameter))
