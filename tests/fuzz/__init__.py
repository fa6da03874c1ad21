"""A mutation-based fuzzer over everything that reads strangers' octets, and what must hold then.

`python -m tests.fuzz --seconds 300` runs it; what it finds is kept, made small, under `cases/`.
"""
