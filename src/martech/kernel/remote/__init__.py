"""Other hosts of this installation: how they are reached, and what they are asked.

peer     one of them, spoken to over one kept-open client
wire     a port over HTTP: questions, whoever asks, errors; both sides
port     a port of a peer, asked as if it were here
calls    what was asked, for the page of metrics
"""

from martech.kernel.remote.calls import Calls
from martech.kernel.remote.peer import Peer, Said
from martech.kernel.remote.port import RemotePort

__all__ = ["Calls", "Peer", "RemotePort", "Said"]
