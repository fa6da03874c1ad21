"""Private keys that never leave a token, reached by PKCS #11: a hardware module or SoftHSM.

PKCS #11 v2.40 and v3.0 (Cryptoki), RFC 7512 (URIs that name what is on a token).
"""
