"""Other people's measures of an edge, on the same trace, each with its paper, cost and failure.

For comparison on short texts; knows nothing of targets, cutting or drawing.
"""
