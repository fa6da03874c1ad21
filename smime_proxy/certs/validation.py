"""How far a public authority looked into who somebody is, in the three classes people know.

CA/Browser Forum S/MIME Baseline Requirements 7.1.6.1 (reserved policy identifiers).
"""

from collections.abc import Set as AbstractSet
from enum import Enum

_RESERVED = "2.23.140.1.5."  # then the kind of validation, then legacy, multipurpose or strict


class Validation(Enum):
    """What was confirmed of the holder; the values are those of `X-SMIME-Signature`."""

    ADDRESS = "class1"
    ORGANISATION = "class2"
    PERSON = "class3"
    UNKNOWN = "unknown"


_KINDS = {
    "1": Validation.ADDRESS,  # mailbox-validated: somebody answered from there
    "2": Validation.ORGANISATION,  # organization-validated: a legal entity, no person is named
    "3": Validation.ORGANISATION,  # sponsor-validated: a person, by the word of his organisation
    "4": Validation.PERSON,  # individual-validated: the authority itself identified him
}
_ORDER = (Validation.ADDRESS, Validation.ORGANISATION, Validation.PERSON)


def validation_of(policies: AbstractSet[str]) -> Validation:
    """Give the class for the policies that hold for a whole trusted path (dotted OIDs).

    A certificate states one of them; of several the least counts. What no policy that holds
    says, is unknown: private authorities state none.
    """
    found = {
        _KINDS[kind]
        for policy in policies
        if policy.startswith(_RESERVED)
        and (kind := policy.removeprefix(_RESERVED).partition(".")[0]) in _KINDS
    }
    return next((one for one in _ORDER if one in found), Validation.UNKNOWN)
