"""JUDGE: one detector per file; `inspect` runs them all over one step.

A detector sees a step (`base.Seen`), the state of its trace and run (`state.py`), and what every worker knows
(`facts.py`), and answers with findings. No I/O, no clock, no randomness: the same steps in the same order give the same
findings, live, in replay and in backtest. May import: schemas.
"""
