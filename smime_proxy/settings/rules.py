"""Turns settings into the values policy decides by.

Names and meanings are those of the settings file; `smime_proxy.policy.rules` has the values.
"""

from smime_proxy.address import parse_mailbox
from smime_proxy.gateway.wording import Wording
from smime_proxy.policy.rules import (
    ListenerRule,
    Override,
    PartnerRule,
    Policy,
    RequestWords,
    Rules,
)
from smime_proxy.settings.connections import Listener
from smime_proxy.settings.model import Settings
from smime_proxy.settings.policy import DomainTable, PartnerTable, PolicyTable
from smime_proxy.smime.gateway_signer import GatewaySigner


def to_rules(settings: Settings) -> Rules:
    """Give all policy of the settings; names of domains and partners are folded already."""
    words = settings.policy.subject_words
    return Rules(
        default=to_policy(settings.policy),
        domains={name: to_override(table) for name, table in settings.domains.items()},
        partners={name: to_partner_rule(table) for name, table in settings.partners.items()},
        listeners={name: to_listener_rule(one) for name, one in settings.listeners.items()},
        words=RequestWords(sign=words.sign, encrypt=words.encrypt, plain=words.plain),
        unwrap=frozenset(settings.policy.unwrap),
        gateways=to_gateways(settings),
        harvest=settings.policy.harvest,
        subject_address=settings.trust.subject_address,
        max_groups=settings.service.max_groups,
    )


def to_wording(settings: Settings) -> Wording:
    """Give how people are told what to do."""
    table = settings.texts
    return Wording(table.languages, table.contact, settings.policy.subject_words.plain)


def to_policy(table: PolicyTable) -> Policy:
    """Give `[policy]` as policy knows it."""
    return Policy(
        sign=table.sign,
        encrypt=table.encrypt,
        on_missing_key=table.on_missing_key,
        on_missing_certificate=table.on_missing_certificate,
        on_lapsed_certificate=table.on_lapsed_certificate,
        after_decryption=table.after_decryption,
        internal=table.internal,
        minimum_source=table.minimum_source,
        sent_copy=table.sent_copy,
        request_by_sensitivity=table.request_by_sensitivity,
        signature=table.signature,
        key_transport=table.key_transport,
        content_encryption=table.content_encryption,
        opaque=table.opaque,
        header_protection=table.header_protection,
    )


def to_override(table: DomainTable) -> Override:
    """Give what a domain says otherwise; what it does not say stays None."""
    return Override(
        sign=table.sign,
        encrypt=table.encrypt,
        on_missing_key=table.on_missing_key,
        on_missing_certificate=table.on_missing_certificate,
        on_lapsed_certificate=table.on_lapsed_certificate,
        after_decryption=table.after_decryption,
        internal=table.internal,
        minimum_source=table.minimum_source,
        sent_copy=table.sent_copy,
        request_by_sensitivity=table.request_by_sensitivity,
        signature=table.signature,
        key_transport=table.key_transport,
        content_encryption=table.content_encryption,
        opaque=table.opaque,
        header_protection=table.header_protection,
    )


def to_partner_rule(table: PartnerTable) -> PartnerRule:
    """Give what mail to a partner asks for."""
    return PartnerRule(
        sign=table.sign,
        encrypt=table.encrypt,
        minimum_source=table.minimum_source,
        signature=table.signature,
        key_transport=table.key_transport,
        content_encryption=table.content_encryption,
        opaque=table.opaque,
        header_protection=table.header_protection,
    )


def to_gateways(settings: Settings) -> dict[str, GatewaySigner]:
    """Give the partners' gateways that sign in place of people, by their domain."""
    return {
        name: GatewaySigner(parse_mailbox(table.gateway_signer), table.gateway_trusted)
        for name, table in settings.partners.items()
        if table.gateway_signer
    }


def to_listener_rule(listener: Listener) -> ListenerRule:
    """Give whom a listener serves."""
    return ListenerRule(
        accounts=listener.accounts,
        envelope_match=listener.envelope_match,
        require_header={
            name: tuple(value.lower() for value in values)
            for name, values in listener.require_header.items()
        },
        domains=frozenset(listener.domains),
    )
