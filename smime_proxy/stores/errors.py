"""What goes wrong with the store, in one line for the administrator.

No RFC: the store is this program's own.
"""


class StoreError(Exception):
    """The store cannot be used, or refuses a change; the text is one line that says why."""
