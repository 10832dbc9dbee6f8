"""Real traces as usage events: which team, which model, which ids and times. All by stated rules.

The traces say when a request came and how many tokens it had, and nothing else. Which model served
it is our rule, written beside it and printed by the demo. Deterministic: no clock, no chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from ledger.client import UsageEvent
from ledger.demo import traces
from ledger.demo.traces import TraceRequest

SOURCE: Final = "trace"
LONG_CODE_TOKENS: Final = 2_048
LONG_CHAT_TOKENS: Final = 1_024


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace, the team whose usage it is, and the rule that names a model for each request."""

    name: str
    team: str
    of: str
    requests: Callable[[], Iterator[TraceRequest]]
    models: tuple[str, ...]
    rule: str
    model: Callable[[TraceRequest], str]

    def quantities(self, request: TraceRequest) -> dict[str, int]:
        """The tokens of a request; cached ones are part of the input (rule R8)."""
        quantities = {
            "input_tokens": request.input_tokens,
            "output_tokens": request.output_tokens,
        }
        if self.name == "mooncake":
            quantities["cached_tokens"] = request.cached_tokens
        return quantities


CODE: Final = Trace(
    "azure-code",
    "code",
    "Azure LLM inference trace 2023, code",
    traces.azure_code,
    ("claude-haiku-4-5", "claude-sonnet-4-5"),
    f"prompts above {LONG_CODE_TOKENS:,} tokens: claude-sonnet-4-5, others: claude-haiku-4-5",
    lambda request: (
        "claude-sonnet-4-5" if request.input_tokens > LONG_CODE_TOKENS else "claude-haiku-4-5"
    ),
)
CHAT: Final = Trace(
    "azure-conversation",
    "chat",
    "Azure LLM inference trace 2023, conversation",
    traces.azure_conversation,
    ("gpt-5-mini", "gpt-5"),
    f"prompts above {LONG_CHAT_TOKENS:,} tokens: gpt-5, others: gpt-5-mini",
    lambda request: "gpt-5" if request.input_tokens > LONG_CHAT_TOKENS else "gpt-5-mini",
)
AGENTS: Final = Trace(
    "mooncake",
    "agents",
    "Mooncake conversation trace, with cached prompts",
    traces.mooncake_conversation,
    ("moonshot/kimi-k2-thinking",),
    "all: moonshot/kimi-k2-thinking, which has a price for cached tokens",
    lambda _: "moonshot/kimi-k2-thinking",
)
TRACES: Final = {trace.name: trace for trace in (CODE, CHAT, AGENTS)}
"""By name. Together about an hour of 40,216 requests."""


def load_requests(trace: Trace, rows: int = 0) -> list[TraceRequest]:
    """The requests of a trace in order; the first `rows` of them, 0 = all."""
    requests = list(trace.requests())
    return requests[:rows] if rows else requests


def trace_event(
    trace: Trace,
    request: TraceRequest,
    account: str,
    run: str,
    row: int,
    *,
    repeat: int = 0,
    effective_at_us: int = 0,
) -> UsageEvent:
    """Row `row` of a trace as usage. Its id says run, trace, repeat and row: a repeat is a new
    event, and the same run sent again is the same events.
    """
    return UsageEvent(
        id=f"{run}/{trace.name}/{repeat}/{row}",
        account=account,
        quantities=trace.quantities(request),
        product=trace.model(request),
        effective_at_us=effective_at_us,
        source=SOURCE,
    )


def uniform_events(
    accounts: tuple[str, ...], run: str, count: int, *, seed: int = 1
) -> Iterator[tuple[int, UsageEvent]]:
    """(offset in microseconds, event): a thousand a second, all accounts and models alike."""
    chance = Random(seed)
    models = [model for trace in TRACES.values() for model in trace.models]
    for number in range(count):
        input_tokens = 1 + chance.randrange(8_000)
        yield (
            number * 1_000,
            UsageEvent(
                id=f"{run}/uniform/{number}",
                account=accounts[chance.randrange(len(accounts))],
                quantities={
                    "input_tokens": input_tokens,
                    "output_tokens": 1 + chance.randrange(1_000),
                },
                product=models[chance.randrange(len(models))],
                source=SOURCE,
            ),
        )


def repeated_trace(
    trace: Trace, accounts: tuple[str, ...], run: str, count: int
) -> Iterator[tuple[int, UsageEvent]]:
    """(offset in microseconds, event): the trace again and again, one account after another."""
    requests = load_requests(trace)
    length_us = requests[-1].offset_us + 1_000_000
    for number in range(count or len(requests)):
        repeat, row = divmod(number, len(requests))
        request = requests[row]
        account = accounts[number % len(accounts)]
        yield (
            repeat * length_us + request.offset_us,
            trace_event(trace, request, account, run, row, repeat=repeat),
        )


def batched(
    events: Iterable[tuple[int, UsageEvent]], size: int
) -> Iterator[tuple[int, list[UsageEvent]]]:
    """(offset of the first, events): `size` at a time."""
    first_us, batch = 0, list[UsageEvent]()
    for offset_us, event in events:
        if not batch:
            first_us = offset_us
        batch.append(event)
        if len(batch) == size:
            yield first_us, batch
            batch = []
    if batch:
        yield first_us, batch
