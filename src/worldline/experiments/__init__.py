"""Experiments on models, one folder or file each, written with worldline's public names.

Knows nothing of how runs are made, watched or drawn.
"""
