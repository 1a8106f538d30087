"""``python -m worldline.apps.cli``: the command line where its script is not on the path."""

from worldline.apps.cli import main

main()
