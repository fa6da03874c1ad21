"""Against programs nobody here wrote, in both directions."""
