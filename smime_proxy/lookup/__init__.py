"""What is found outside the store: authorities, directories, answers about certificates."""
