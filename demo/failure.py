"""The one way the demo fails on purpose."""


class Failure(Exception):
    """What went wrong and what to do about it, in a sentence for the person at the terminal."""
