"""Who belongs to which segment. Pure: what is on record and what came in give what to change.

`conditions` are data. Each behaviour in them asks for a *measure*, a number that is kept of
everybody (`tallies`) as events come in (`people`). Answers change only where a number crosses a
bound that some segment has (`catalog`), so almost all events end with an addition. What running
numbers do not tell (a window that moves on, a merge, a new measure) is read from the past
(`reckoning`). Whatever the way, the answer is that of counting anew.
"""
