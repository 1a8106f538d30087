"""Protocols of one experiment: pushes in a past turn, and what a model says of them afterwards.

Knows vectors, conversations and scores; knows nothing of claims, stores or how runs are made.
"""
