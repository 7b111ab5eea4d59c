"""Whether what is promised now keeps what was promised then (docs/contracts.md says the rules)."""

from martech.kernel.published.gate.breach import Breach
from martech.kernel.published.gate.corrections import Correction, corrected, corrections
from martech.kernel.published.gate.revisions import Incomparable, at_revision, in_tree
from martech.kernel.published.gate.verdict import verdict

__all__ = [
    "Breach",
    "Correction",
    "Incomparable",
    "at_revision",
    "corrected",
    "corrections",
    "in_tree",
    "verdict",
]
