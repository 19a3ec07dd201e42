"""Attacks on a copy of a ledger, what each verifier must see of them, and what it cannot.

python -m tests.audit.attacks [HOME | DATABASE] [--public-key KEY] [--anchors FILE] [--bundle DIRECTORY]
"""
