"""What can answer in a room: scripted lines, a model in this process, an endpoint elsewhere.

Knows messages and settings; nothing of turns, commands or the log.
"""
