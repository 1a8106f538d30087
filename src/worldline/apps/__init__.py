"""What a person starts: the command line, and later the server and the notebook widget.

Holds no logic: it reads options, calls the public names and prints.
"""
