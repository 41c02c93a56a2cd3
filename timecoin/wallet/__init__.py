"""Own coins: keys from one seed, what they own, payments. It knows neither rpc nor node nor store.

``keystore`` keeps the seed and tells which scripts are ours, ``coins`` what they hold, ``build``
makes payments of them; ``wallet`` joins the three, ``service`` is their Twisted shell.
"""
