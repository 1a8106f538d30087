"""Keeps the events of one run as named arrays, with their closure, and saves and loads them.

Judges nothing: it does not know what an edge is worth.
"""
