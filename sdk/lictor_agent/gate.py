"""The gate: may this call be made? Judged from memory, in microseconds, by the policy in force.

Lictor's `detectors/policy_view.py` judges the same afterwards; `tests/contract/grants.jsonl` holds both to the same
answers.
"""

from lictor_agent.answers import STRICTNESS, Answer, Call, verdict_in
from lictor_agent.budgets import Spent, add_amounts, over_budget
from lictor_agent.compiled import Compiled

__all__ = ["STRICTNESS", "Answer", "Call", "Compiled", "Spent", "add_amounts", "over_budget", "verdict_in"]
