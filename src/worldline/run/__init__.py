"""Executes a plan on a model and hands out what happened, event by event.

Keeps nothing: whoever asked for the events keeps them.
"""
