"""The ways out of delivery: to a mail server, or to the log."""

from martech.modules.delivery.adapters.post import Post

__all__ = ["Post"]
