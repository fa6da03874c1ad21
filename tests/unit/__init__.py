"""Mirrors the source, module by module; fast and without peers."""
