"""RUN: the command line, settings, wiring and embedded parts: the only place that knows everything.

May import everything. In a wheel the other folders live in `lictor/_app/`; a checkout needs nothing.
"""

import sys
from pathlib import Path

__version__ = "0.1.0"

_app = Path(__file__).parent / "_app"
if _app.is_dir() and str(_app) not in sys.path:
    sys.path.insert(0, str(_app))
