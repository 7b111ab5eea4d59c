"""Other hosts of this installation: how they are reached, and what they are asked."""

from martech.kernel.remote.peer import Peer, Said

__all__ = ["Peer", "Said"]
