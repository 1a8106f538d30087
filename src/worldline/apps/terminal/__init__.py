"""The room in a terminal: what is said, who is here, and a line to write on.

Takes no turn itself and knows no model: a thread of `room.hosting` does the talking.
"""
