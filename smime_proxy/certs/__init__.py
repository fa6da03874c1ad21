"""Certificates as values: read, judge, select and issue them, without any I/O.

RFC 5280 (certificates and paths), RFC 8550 (S/MIME certificate handling), RFC 7292 (PKCS #12).
"""
