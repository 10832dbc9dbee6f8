"""Contracts: a package for a time, with terms of its own (rule P5).

contracts, contract_terms, contracting  as state, what it may say, decided
"""
