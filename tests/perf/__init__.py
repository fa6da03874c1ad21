"""Measurements against real peers in one interleaved run; never asserted in timed unit tests."""
