"""The thread's claims: their records as a graph, their runs, and the verdicts that a rule gives.

Knows nothing of how anything is measured: experiments are run through the lab's registry only.
"""
