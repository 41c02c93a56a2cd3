"""Own coins: keys from a list of words, what they own, payments; neither rpc nor node nor store.

``keystore`` keeps the words and tells which scripts are ours, ``coins`` what they hold, ``build``
makes payments of them; ``wallet`` joins the three, ``service`` is their Twisted shell.
"""
