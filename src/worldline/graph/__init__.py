"""Nodes, edges, edits and orders of a run; exact counts, sums and strongest paths over its grid.

Knows no torch, no models and no text: a grid is arrays of weights, a count is a Python integer.
"""
