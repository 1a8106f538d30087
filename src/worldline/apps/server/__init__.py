"""The page's server: routes over `live`, and the rules of who may ask.

Knows no model and computes nothing.
"""
