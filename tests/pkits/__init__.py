"""NIST's test suite for path validation (PKITS 1.0) run as paths; `python -m tests.pkits`."""
