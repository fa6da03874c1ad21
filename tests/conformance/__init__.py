"""What the program finds in messages nobody here wrote, against what OpenSSL found in them.

RFC 5652, RFC 8551. `python -m tests.conformance` prints the tables of docs/conformance.md, and
writes them there with `--write`; as pytest the same run fails on whatever is not explained.
"""
