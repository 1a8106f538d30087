"""The picture of the claims in other tools' forms: JSON-LD, GraphML, lines of text.

Knows nothing of stores and runs: everything in them stands in the picture.
"""
