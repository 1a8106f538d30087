"""Nodes, edges and masks of a run, before any tensor exists.

Knows no tensors, no models and no text.
"""
