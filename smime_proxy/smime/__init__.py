"""S/MIME on entities: classify, sign, verify, encrypt, decrypt (RFC 8551, RFC 7281)."""
