"""What administrators use: the command line and the read model behind it."""
