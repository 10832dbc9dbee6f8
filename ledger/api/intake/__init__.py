"""Usage on its way in, the hot path: bytes of a request to commands of the owners' writers.

metering                events of a type, which meters make usage of
shapes                  what many events have in common, interned
parse_plain, parse_compact, batches     a request as commands
linking                 events that are recorded together
forward_usage           a batch split by owner
parking, plain_events   usage for accounts that nobody knows yet
"""
