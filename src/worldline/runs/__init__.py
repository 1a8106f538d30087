"""From a plan to what happened: one forward pass, whole or partial, edited or not, and its trace.

Judges nothing: it does not know what an edge is worth.
"""
