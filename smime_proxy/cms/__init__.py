"""CMS between bytes and DER, without any knowledge of MIME (RFC 5652 and family)."""
