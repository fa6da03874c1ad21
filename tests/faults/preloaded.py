"""Imported once by the process that forks the services of `failpoints`."""

from tests.faults.counted import preload

preload()
