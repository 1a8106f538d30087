"""Answers what a person asks of one model that stays loaded: one question at a time, stoppable.

Knows no sockets, no browsers and no command line.
"""
