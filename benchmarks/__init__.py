"""MEASURE: one benchmark a file, run by `lictor bench NAME`; results with commit and machine in `results/`.

A figure is compared with something measured in the same run, or says that it is not. May import everything.
"""

from typing import Final

NAMES: Final = ("response", "detect", "forensics", "gate")
