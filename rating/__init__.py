"""Rating: what a usage event costs, exactly. Pure: no I/O, no clock, no ledger, no floats.

Modules, in reading order:

- ``exact``, ``rounding``   exact prices as ratios of two integers; a ratio as whole minor units
- ``models``               price models, hours and minimums as data
- ``card``                 rate cards as data: meters, products, price rows; validation and hash
- ``meters``, ``metering``  rules that make events into quantities; an event metered
- ``cost_faults``           what is wrong with a card beside its card of costs
- ``faults``, ``model_faults``  what is wrong with a card or an event, each with a stable reason
- ``functions``            F: what a running total costs, in integers
- ``formula``              expressions over an event, with their ``formula_grammar``
- ``row_functions``        a row made into its F
- ``hours``, ``zones``       which conditions of time of day hold at an instant
- ``plan``, ``compile``      a card made ready: one plan for each shape of event
- ``opening``              the same from a card's bytes, in steps that are short
- ``price``                the hot path: a plan and an event's quantities become charges
- ``model_lines``          the lines of rows with models
- ``shares``               parts of a whole: minimums, the rest at list price, exact splits
- ``versions``             which version of a card is in force at which time
- ``overrides``            what an account pays otherwise, and which override counts
- ``override_faults``      what is wrong with a list of overrides
- ``overridden``           overrides put into plans and versions
- ``conversions``          what an asset is worth in another, from which time on
- ``explain``              why a line costs what it costs, as data
- ``differences``          why one event cost more than another, as data
- ``wording``              both in words
- ``compare``             which of several offers is best: constraints and an exact ranking
- ``diff``, ``diff_text``    what differs between two cards; in words and JSON
- ``sheet``                a version as canonical JSON, for programs that choose and buy
- ``card_file``            a card as people write it, in JSON or TOML
- ``llm_fields``, ``llm_values``  the vocabulary of the public map of LLM prices, and its values
- ``llm_prices``, ``llm_costs``  the map as a rate card, and as what providers take

This package holds no imports, because every import of ``rating.v1`` runs it.
"""
