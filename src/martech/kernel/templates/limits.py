"""How much one template may be, and one rendering take. A usual text takes a thousandth of it.

The counts are what holds: the same template with the same values is refused or rendered alike on
any machine, so a preview means something. The time is the second line, for what the counts did not
foresee; it is the thread's own working time, so that a machine that is busy elsewhere refuses
nothing.
"""

SOURCE = 500_000
"""Characters of a template."""

MARKS = 2_000
"""``{{ }}`` and ``{% %}`` in a template."""

MARKED = 30_000
"""Characters in all of them together: what takes time to be read."""

MARK = 2_000
"""Characters between the braces of one of them."""

WITHIN = 100
"""Brackets, ``and`` and ``or`` in one of them, which is about how deep it is."""

DEPTH = 30
TURNS = 100_000
"""Turns of all loops together."""

ITEMS = 10_000
"""Entries of a list that a filter is given or makes."""

TEXT = 250_000
"""Characters of a text, or of the texts in a list, that a filter is given or makes."""

BITS = 128
"""Of a whole number that a filter is given or makes."""

HELD = 1_000_000
"""Characters in all variables of a template together."""

PRINTED = 1_000_000
"""Bytes of what comes out."""

SECONDS = 0.2
