"""Forecasts: how long a balance lasts, and what a period will cost, from recorded usage.

Pure: hours of recorded usage and what is to come in, figures out. No I/O, no clock, integers only;
the same hours, pots and seed give the same figures. In reading order: `hours` (what was used),
`draws` (futures made of it), `pots` (what pays), `walk` (one future against the pots), `figures`
(what many futures say).
"""
