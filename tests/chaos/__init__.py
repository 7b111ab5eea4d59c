"""What the system guarantees, each shown to fail on a planted defect.

A guarantee runs in its short form with every `make test` and at full size with `make chaos`.
What is planted is a class handed to a constructor, most of them in `defects`; `src` contains none.
(A shadow is made where none can be handed over: there the class stands in for the product's. What
is wrong with a whole process is done in it first.) A test of a planted defect, marked `planted`,
passes only if the guarantee is reported *broken*, with the sentence that names how.
"""
