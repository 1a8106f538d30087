"""One typed picture, the Scene, and its forms: text, HTML, JSON, widget, graphs, tables.

Computes no science: every number in it was handed over.
"""
