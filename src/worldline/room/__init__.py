"""Several AIs in one conversation: who is there, whose turn it is, what was said and done.

Knows models only as something that answers messages; no tensor, and no torch.
"""
