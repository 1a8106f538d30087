"""Texts that the experiments read: natural passages, and stimuli with their sources and licences.

Knows how to draw them by a seed; knows nothing of what is measured on them.
"""
