"""The order of steps for one mail, from the envelope received to the reply given (RFC 5321)."""
