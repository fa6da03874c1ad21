"""Mail as bytes and views over them: parse, find, prepend, canonicalise, build (RFC 5322, 2045)."""
