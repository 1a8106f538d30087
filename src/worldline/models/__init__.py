"""Loads a causal language model, finds its anatomy, reaches its attention, and checks it.

The only place that imports transformers; knows nothing of what a run is for.
"""
