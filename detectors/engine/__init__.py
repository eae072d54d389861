"""Sigma rules over steps: read with pySigma, planned, compiled to Hyperscan and look-ups, judged; sequences of what fired.

`plan` is what a rule says, with nothing left to parse: it travels between processes. `load` reads files into plans and
refuses what it cannot judge exactly. `fields` is what a rule can ask of a step. `views` are the texts that patterns are held
against. `compiled` decides which rules a step could fire, `judge` which it does. `correlate` puts firings together over time.
No I/O but for `load`'s texts, no clock, no randomness. May import: schemas, detectors.
"""
