"""Turns a trace into a weighted grid: share, gradient and the peers' measures.

Draws nothing and loads nothing.
"""
