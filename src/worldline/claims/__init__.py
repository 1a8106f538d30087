"""The thread's claims: their records as a graph, their runs, and the verdicts that a rule gives.

Knows nothing of how anything is measured: experiments are run through the lab's registry only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worldline.doorway import doorway

if TYPE_CHECKING:
    from worldline.claims.claim_runs import Heard as Heard
    from worldline.claims.claim_runs import Outcome as Outcome
    from worldline.claims.claim_runs import RunRequest as RunRequest
    from worldline.claims.claim_runs import run_claims as run_claims
    from worldline.claims.exports.lines import claims_table as claims_table
    from worldline.claims.exports.lines import stale_note as stale_note
    from worldline.claims.exports.lines import verdict_line as verdict_line
    from worldline.claims.model_claims import FORMATS as FORMATS
    from worldline.claims.model_claims import ModelClaims as ModelClaims
    from worldline.claims.model_claims import picture_source as picture_source
    from worldline.claims.picture import in_order as in_order
    from worldline.claims.picture import verdict_part as verdict_part
    from worldline.claims.records import load_graph as load_graph
    from worldline.claims.run_database import Store as Store
    from worldline.claims.verdict import CurrentVerdict as CurrentVerdict
else:
    __getattr__, __dir__, __all__ = doorway(__name__)
