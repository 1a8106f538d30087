"""The room in the terminal: what is drawn, what is typed, and what the keys do.

Knows rooms through `room.hosting` only and waits for no model.
"""
