"""Protocols of one experiment: perturbations in a past turn, and what a model says of them later.

Knows vectors, conversations and scores; knows nothing of claims, stores or how runs are made.
"""
