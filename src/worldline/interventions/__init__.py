"""Compares altered runs with the one that happened: cuts, hop budgets, perturbations, orders.

Knows nothing of weights of edges and of drawing.
"""
