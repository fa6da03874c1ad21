"""The database: accounts, keys, certificates, trust anchors and the snapshot mail is read by."""
