"""One typed picture, the Scene, and its forms: text, HTML, JSON, a notebook's widget.

Computes no science: every number in it was handed over.
"""
