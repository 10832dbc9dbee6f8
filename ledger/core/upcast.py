"""Events that were retired, and what each means today: old journals stay readable for ever.

To change a released event: give the new class a new tag in `events`, move the old class here as it
is (same tag, fields, order, types and defaults; its name may change), and add its upcaster to
`UPCASTS`. An upcaster is a function of the old event alone: no state, no clock, no configuration,
one event in, one event out, since usage names its plan by place and positions count entries. It may
give a class that is retired as well: steps are followed until the event is current.

Only `journal.codec` calls these, as it reads; nothing else ever meets a retired class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

Upcasts: TypeAlias = Mapping[type, Callable[[Any], Any]]
"""Retired class -> the event that says the same today, made from the old event alone."""

UPCASTS: Final[Upcasts] = MappingProxyType({})
"""Every retired class of a journal. All events are of their first version so far."""
