"""One module a version of the ledger: what it added to the version before.

A module that was released never changes, and imports no table definitions, because those are of the present version.
Versions only add; there is no way down.
"""
