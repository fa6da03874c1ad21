"""The command line: noun and verb, one module a noun, imported when one of its verbs is called."""
