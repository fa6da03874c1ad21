"""SMTP proxy that signs, encrypts, decrypts and verifies an organisation's mail with S/MIME.

The bytes are the message: parsing gives views over one buffer and nothing is re-serialised.
Mail flows in three steps, gather, decide, act: I/O collects facts, a pure function turns them
into a plan, a thin shell carries the plan out. 250 is said only after the upstream said it;
what fails for an unknown reason is 451, never clear text.

A layer imports only layers below it (``|``: these do not know each other)::

    app                          composition root and console script
    admin                        command line over the same read model as the web pages
    settings                     frozen, validated, defaults live here only
    smtp | stores | lookup       shells: sockets, databases, directories
    gateway                      order of steps, deadlines, concurrency, replies
    policy                       decisions as data; pure and total
    smime                        joins the three below: entity in, entity out  (RFC 8551)
    message | cms | certs        bytes and views | DER | certificates  (RFC 5322, 5652, 5280)
    envelope                     what travels beside the content  (RFC 5321 2.3.1)
    address | reply              vocabulary  (RFC 5321 4.1.2, RFC 3463)
"""

__version__ = "0.1.0"
