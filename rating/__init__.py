"""Rating: what a usage event costs, exactly. Pure: no I/O, no clock, no ledger, no floats.

Modules, in reading order:

- ``exact``       exact prices: text to a reduced ratio of two integers
- ``card``        rate cards as data: meters, products, price rows; validation and content hash
- ``compile``     a card made ready: one plan of integer arithmetic for each shape of event
- ``price``       the hot path: a plan and an event's quantities become charges
- ``versions``    which version of a card is in force at which time
- ``diff``        what differs between two cards; ``diff_text`` puts it into words and JSON
- ``sheet``       a version as canonical JSON, for programs that choose and buy
- ``llm_fields``  the vocabulary of the public map of LLM prices; ``llm_values`` its values
- ``llm_prices``  the map as a rate card

This package holds no imports, because every import of ``rating.v1`` runs it.
"""
