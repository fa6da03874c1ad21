"""Sockets: the server mail comes in by and the upstreams it leaves by (RFC 5321, RFC 3207)."""
