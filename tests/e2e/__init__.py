"""The installed program driven through its ports and commands."""
