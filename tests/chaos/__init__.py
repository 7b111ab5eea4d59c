"""What the system guarantees, each shown to fail on a planted defect.

A guarantee runs in its short form with every `make test` and at full size with `make chaos`.
`defects` holds what is planted, each a class handed to a constructor; `src` contains none. A
test of a planted defect passes only if the guarantee is reported *broken*, with the sentence
that names how.
"""
