"""A Docker Engine with every image of the bundle, for a machine that has neither.

``python3 -m tests.lab up`` starts it, ``env`` prints the shell lines that point the
``docker`` command at it, ``down`` ends it. It needs Debian, root and the standard
library, and it runs the oldest Engine and Compose the bundle supports.
"""
