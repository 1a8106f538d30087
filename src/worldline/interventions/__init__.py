"""Compares runs that never happened with the one that did: cuts, hop budgets, pushes, orders.

Knows nothing of weights of edges and of drawing.
"""
