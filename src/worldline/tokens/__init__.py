"""Text to tokens with character and byte offsets, and back.

Knows no models: a tokenizer is anything that encodes and decodes.
"""
