"""What a person starts: the command line, the page's server, the room in the terminal.

Holds no logic: it reads options, calls the public names and shows what comes back.
"""
