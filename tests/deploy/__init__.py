"""What is shipped under deploy/, held against the programs that will read it."""
