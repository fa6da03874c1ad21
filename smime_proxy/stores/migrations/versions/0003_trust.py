"""Whose certificates, how far they are trusted, and where they came from."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables and columns of each area, one function an area below."""
