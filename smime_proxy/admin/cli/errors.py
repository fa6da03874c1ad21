"""What stops a command, in one line for the person who typed it.

No RFC; exit codes are those of docs/commands.md.
"""


class CommandError(Exception):
    """The command cannot be done; the text says why and, where it can, what to do."""
