"""Semirings, counts of paths and orders, and sums over all paths of a weighted grid.

Knows no torch, no models and no text: a grid is arrays of weights, a count is a Python integer.
"""
