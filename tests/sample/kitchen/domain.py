from martech.kernel.messages import Command


class Bake(Command, frozen=True):
    """Carried out inside; a negative number cannot be baked."""

    number: int


class Deliver(Command, frozen=True):
    """Carried out on the street."""

    number: int
