"""Which numbers to believe: every measure of an edge against what cutting the edge does.

Knows how to repeat and resume itself; knows nothing of how a measure or a cut is made.
"""
