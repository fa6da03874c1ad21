"""Asks a validating resolver for the SMIMEA records of a mailbox, and believes nothing unproven.

RFC 8162 3 (names), RFC 6840 5.7 and 5.8 (the AD bit), RFC 3225 (DO), RFC 7766 (TCP). The resolver
is one the administrator trusts, on a path nobody else writes to: its AD bit is all the proof.
"""

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.tlsabase
import dns.rrset

from smime_proxy.address import Mailbox
from smime_proxy.certs.association import Association, owner_name, read_association
from smime_proxy.certs.errors import one_line
from smime_proxy.lookup.source import SourceDown, SourceUnreachable, Told

NAME = "smimea"
MAX_RECORDS = 8  # of one mailbox, the others are passed over; two are usual while a key is renewed
PROBE_NAME = "."  # what every validating resolver has an anchor for
UDP_OCTETS = 1232  # what passes without fragments (DNS flag day 2020); larger comes over TCP
UDP_SHARE = 0.4  # of the time for a question; the rest is for the question over TCP


class SmimeaSource:
    """The DNS as seen through one resolver; `timeout` in seconds for one question."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        """Ask the resolver at an IP address."""
        self.name = NAME
        self.timeout = timeout
        self._host = host
        self._port = port

    def serves(self, mailbox: Mailbox) -> bool:
        """Tell whether the mailbox has a name in the DNS, which address literals have not."""
        return not mailbox.domain.startswith("[")

    async def ask(self, mailbox: Mailbox) -> Told:
        """Ask for the records of one mailbox; raises `SourceUnreachable`.

        That a zone is not signed, or has no records, is an answer: nothing.
        """
        try:
            name = dns.name.from_text(owner_name(mailbox))
        except dns.exception.DNSException:  # labels beyond what the DNS can name
            return Told(reason="the address has no name in the DNS")
        query = dns.message.make_query(
            name, dns.rdatatype.SMIMEA, want_dnssec=True, payload=UDP_OCTETS
        )
        query.flags |= dns.flags.AD  # RFC 6840 5.7: it is to say whether it validated
        return _told(await self._exchange(query))

    async def check(self) -> None:
        """Ask for the root, which is signed: a resolver that does not say so does not validate."""
        query = dns.message.make_query(PROBE_NAME, dns.rdatatype.SOA, want_dnssec=True)
        query.flags |= dns.flags.AD
        response = await self._exchange(query)
        if response.rcode() != dns.rcode.NOERROR:
            code = dns.rcode.to_text(response.rcode())
            raise SourceUnreachable(f"the resolver answers {code} for {PROBE_NAME!r}")
        if not response.flags & dns.flags.AD:
            raise SourceUnreachable("the resolver does not validate DNSSEC")

    async def close(self) -> None:
        """Hold nothing, so let go of nothing."""

    async def _exchange(self, query: dns.message.Message) -> dns.message.Message:
        try:
            response = await self._over_udp(query)
            if response is None:
                response = await dns.asyncquery.tcp(
                    query, self._host, timeout=self.timeout * (1 - UDP_SHARE), port=self._port
                )
        except dns.exception.DNSException as error:
            # It may wait for the servers of one zone: no reason to ask nobody else for others.
            raise SourceUnreachable(f"the resolver does not answer: {one_line(error)}") from None
        except ConnectionRefusedError:
            raise SourceDown("the resolver cannot be reached: connection refused") from None
        except (OSError, EOFError) as error:
            raise SourceUnreachable(f"the resolver breaks off: {one_line(error)}") from None
        return response

    async def _over_udp(self, query: dns.message.Message) -> dns.message.Message | None:
        """Give the answer, or None when it has to be asked for over TCP: too large, or lost."""
        try:
            return await dns.asyncquery.udp(
                query,
                self._host,
                timeout=self.timeout * UDP_SHARE,
                port=self._port,
                raise_on_truncation=True,
                ignore_unexpected=True,
                ignore_errors=True,
            )
        except (dns.message.Truncated, dns.exception.Timeout):
            return None


def _told(response: dns.message.Message) -> Told:
    """Judge a response: only what was validated holds; a failure to validate is no answer."""
    code = response.rcode()
    if code not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        # SERVFAIL is what a validating resolver says of a zone that was tampered with.
        raise SourceUnreachable(f"the resolver answers {dns.rcode.to_text(code)}")
    if not response.flags & dns.flags.AD:
        return Told(reason="the answer is not validated by DNSSEC")
    if not isinstance(response, dns.message.QueryMessage):
        raise SourceUnreachable("the resolver answers another question")
    try:
        chain = response.resolve_chaining()
    except dns.exception.DNSException as error:
        raise SourceUnreachable(f"the answer makes no sense: {one_line(error)}") from None
    if chain.answer is None:
        return Told(seconds=chain.minimum_ttl, reason="there are no records")
    records = _associations(chain.answer)
    reason = "" if records else "no record is of a kind that is known"
    return Told(associations=records, seconds=chain.minimum_ttl, reason=reason)


def _associations(answer: dns.rrset.RRset) -> tuple[Association, ...]:
    found = []
    for record in answer:
        if isinstance(record, dns.rdtypes.tlsabase.TLSABase):
            read = read_association(record.usage, record.selector, record.mtype, record.cert)
            found += [read] if read is not None else []
    # In an order of their own, so that what is passed over does not change by the hour.
    return tuple(sorted(found, key=lambda one: (-one.usage, one.text))[:MAX_RECORDS])
