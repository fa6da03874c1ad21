"""Looks for what will hurt before it does: one module an area, each gives findings."""
