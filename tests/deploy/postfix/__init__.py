"""The layouts of deploy/postfix."""
