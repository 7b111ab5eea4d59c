"""What a template may be, what is made of it, and what is wrong with it. Pure."""

from martech.modules.content.domain.attempting import attempt_compiled, attempt_preview, outcome
from martech.modules.content.domain.compiling import Compiled, compiled
from martech.modules.content.domain.drafts import Texts, check, check_sample
from martech.modules.content.domain.linting import lint
from martech.modules.content.domain.previewing import preview, sampled

__all__ = [
    "Compiled",
    "Texts",
    "attempt_compiled",
    "attempt_preview",
    "check",
    "check_sample",
    "compiled",
    "lint",
    "outcome",
    "preview",
    "sampled",
]
