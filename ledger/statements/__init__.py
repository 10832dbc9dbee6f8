"""Statements: what accounts used in a billing period, who paid, and what is left (rules T2, H8).

A statement takes in transfers, and nothing else: each transfer of the journal is in exactly one
statement of an account, so that statements add up to its books. Read in this order:

    figures         what a statement says; its canonical form, its hash; it adds up or is not made
    places          which statement a transfer belongs to
    reading         the figures, out of the read models
    folding         the same figures, out of the journal alone: for `verify`
"""
