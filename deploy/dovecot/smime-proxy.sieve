# Turns X-SMIME-Badge and X-SMIME-Lock into IMAP flags and keywords, before the user's own script.
#
# These fields can be believed because smime-proxy removes those that arrive and writes its own, and
# only as long as all mail comes through it. Two of one kind did not come from it and count as none.
# RFC 5228, RFC 5231 (relational), RFC 5232 (imap4flags).

require ["imap4flags", "relational", "comparator-i;ascii-numeric"];

if header :count "eq" :comparator "i;ascii-numeric" "X-SMIME-Badge" "1" {
    if header :is "X-SMIME-Badge" "green" {
        # KMail's keyword for signed mail; others show it as a tag. Only where the signature is good.
        addflag "$SIGNED";
    } elsif header :is "X-SMIME-Badge" "yellow" {
        addflag "$SMIMEDoubtful";
    } elsif header :is "X-SMIME-Badge" "red" {
        # Every client shows \Flagged, as a star or a flag.
        addflag ["$SMIMEBroken", "\\Flagged"];
    }
}

if header :count "eq" :comparator "i;ascii-numeric" "X-SMIME-Lock" "1" {
    if header :is "X-SMIME-Lock" "green" {
        # KMail's keyword for encrypted mail: it came encrypted and lies here decrypted.
        addflag "$ENCRYPTED";
    } elsif header :is "X-SMIME-Lock" "yellow" {
        addflag ["$ENCRYPTED", "$SMIMEWeak"];
    } elsif header :is "X-SMIME-Lock" "red" {
        addflag "$SMIMELocked";
    }
}
