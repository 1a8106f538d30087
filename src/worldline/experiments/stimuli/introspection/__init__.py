"""Texts of the introspection lab: questions, conversations, concepts, with their licence.

Knows how to read and draw them; knows nothing of models.
"""
