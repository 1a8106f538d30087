"""Turns a trace into a weighted grid: contribution, gradient and the peers' measures.

Draws nothing and loads nothing.
"""
