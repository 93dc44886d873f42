"""Claims: the paper's sentences, measured on an experiment's runs and held against bounds that were set beforehand.

    verdicts = judge(harness.load("runs/relative_weight"))
    write_claims(results, verdicts)

Loads no network and no torch, but for the measures that need them.
"""

from harness.claims.foreseen import foreseen
from harness.claims.records import Finding, Number, State, Verdict
from harness.claims.report import claims_table, rows_for_table, write_claims
from harness.claims.verdicts import judge

__all__ = [
    "Finding", "Number", "State", "Verdict", "claims_table", "foreseen", "judge", "rows_for_table", "write_claims",
]  # fmt: skip
