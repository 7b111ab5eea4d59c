"""A module's canvas as it goes on the wire: what ``/_modules`` and ``martech modules`` show."""

from collections.abc import Sequence

from martech.kernel.messages import Folded, View, fact_type, wire_name
from martech.kernel.published.canvas import Canvas


class Tells(View, frozen=True):
    type: str
    folded: bool
    subject: str
    """The field that says what it is about; empty where there is none."""

    what: str


class Hears(View, frozen=True):
    subscription: str
    type: str
    what: str


class Answers(View, frozen=True):
    question: str
    promise: str


class Does(View, frozen=True):
    command: str
    reach: str
    what: str


class Serves(View, frozen=True):
    method: str
    path: str
    operation: str
    needs: str


class Keeps(View, frozen=True):
    table: str
    columns: Sequence[str]


class Reads(View, frozen=True):
    variable: str
    default: str


class Shown(View, frozen=True, kw_only=True):
    name: str
    purpose: str
    tells: Sequence[Tells]
    hears: Sequence[Hears]
    asks: Sequence[str]
    answers: Sequence[Answers]
    does: Sequence[Does]
    routes: Sequence[Serves]
    tables: Sequence[Keeps]
    settings: Sequence[Reads]


def shown(canvas: Canvas) -> Shown:
    return Shown(
        name=canvas.name,
        purpose=canvas.purpose,
        tells=[
            Tells(
                type=wire_name(event),
                folded=issubclass(event, Folded),
                subject=fact_type(event).SUBJECT,
                what=text,
            )
            for event, text in canvas.tells
        ],
        hears=[Hears(subscription=s, type=t, what=w) for s, t, w in canvas.hears],
        asks=canvas.asks,
        answers=[Answers(question=q, promise=p) for q, p in canvas.answers],
        does=[Does(command=c, reach=r, what=w) for c, r, w in canvas.does],
        routes=[
            Serves(method=r.method, path=r.path, operation=r.operation, needs=r.needs)
            for r in canvas.routes
        ],
        tables=[Keeps(table=name, columns=columns) for name, columns in canvas.tables],
        settings=[Reads(variable=v, default=d) for v, d in canvas.settings],
    )
