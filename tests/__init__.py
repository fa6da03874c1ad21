"""What holds the proxy to its word; packages, so that same-named test files do not collide."""
