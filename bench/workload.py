"""The one workload that every side gets: accounts, grants, prices, usage events.

Deterministic: the same seed gives the same events to ours, to decode-only and to plain PostgreSQL.
Families of accounts, two grants each, events of two quantities in one of sixteen shapes. Knows
nothing of servers, and nothing of how an event is sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Final, NamedTuple

from bench.sizes import Sizes

TENANT: Final = "default"
SOURCE: Final = "bench"
ASSET: Final = "credit"
MONEY: Final = "USD"
ASSET_SCALE: Final = 9
CARD: Final = "default"
QUANTITIES: Final = ("input_tokens", "output_tokens")
REGIONS: Final = ("eu", "us")

# Public list prices of four models, in credits (1 credit = 1 USD) a million tokens: input, output.
# In minor units (10^-9) a token that is times 1,000, and whole for the batch mode's half price too.
PRICES: Final = {
    "gpt-4o": ("2.5", "10"),
    "gpt-4o-mini": ("0.15", "0.6"),
    "claude-sonnet": ("3", "15"),
    "gemini-flash": ("0.3", "2.5"),
}
MINOR: Final = {
    ("gpt-4o", "standard"): (2_500, 10_000),
    ("gpt-4o", "batch"): (1_250, 5_000),
    ("gpt-4o-mini", "standard"): (150, 600),
    ("gpt-4o-mini", "batch"): (75, 300),
    ("claude-sonnet", "standard"): (3_000, 15_000),
    ("claude-sonnet", "batch"): (1_500, 7_500),
    ("gemini-flash", "standard"): (300, 2_500),
    ("gemini-flash", "batch"): (150, 1_250),
}
SHAPES: Final = tuple((*key, region) for key in MINOR for region in REGIONS)

# The first grant pays about fifty events of a uniform run and is then empty; the second never is.
FIRST_GRANT: Final = 250_000_000
SECOND_GRANT: Final = 1_000_000_000_000_000
SECOND_GRANT_PRICE: Final = 800_000_000_000_000  # in minor units of MONEY

RESENT_A_HUNDRED: Final = 1
RESENT_FROM_BATCHES: Final = 10  # a retry follows soon: of the events of so many batches before

ID_MARK: Final = "@@@@@@@@@@@@"  # stands for the run's tag, of the same length
TAG_CHARACTERS: Final = len(ID_MARK)


class Event(NamedTuple):
    """One usage event. `shape` is an index into SHAPES; `account` one into `account_ids`."""

    id: str
    account: int
    shape: int
    effective_at_us: int
    input_tokens: int
    output_tokens: int

    @property
    def charge(self) -> int:
        """What it must cost, in minor units of ASSET."""
        product, mode, _ = SHAPES[self.shape]
        input_price, output_price = MINOR[product, mode]
        return self.input_tokens * input_price + self.output_tokens * output_price


class Batch(NamedTuple):
    """Events to send at once; the last `resent` of its distinct ids were sent before."""

    events: list[Event]
    resent: int

    @property
    def charge(self) -> int:
        """Sum of what its events cost, replayed ones included."""
        return sum(event.charge for event in self.events)


def family_of(account: int, sizes: Sizes) -> int:
    """The family of an account; its first account is the root."""
    return account // sizes.family_accounts


def account_id(account: int, sizes: Sizes) -> str:
    """The customer's own id of an account."""
    family, member = divmod(account, sizes.family_accounts)
    return f"org-{family:05d}" if member == 0 else f"org-{family:05d}/team-{member}"


@cache
def account_ids(sizes: Sizes) -> tuple[str, ...]:
    """All of them; a parent stands before its children."""
    return tuple(account_id(account, sizes) for account in range(sizes.accounts))


def batches(
    sizes: Sizes, now_us: int, *, hot: bool = False, accounts: int = 0, seed: int = 2_026
) -> Iterator[Batch]:
    """`sizes.template_batches` batches. `hot`: every event is of account 0; `accounts`: of so many,
    0 = of all.

    Events happened within the last minute before `now_us`. Ids begin with ID_MARK. A resent event
    is one of the last ten batches, at most once a batch; the first batch has none.
    """
    random = Random(seed)
    recent: deque[list[Event]] = deque(maxlen=RESENT_FROM_BATCHES)
    serial = 0
    resent_each = sizes.batch_events * RESENT_A_HUNDRED // 100
    for _ in range(sizes.template_batches):
        resent = resent_each if recent else 0
        fresh = []
        for _ in range(sizes.batch_events - resent):
            fresh.append(
                Event(
                    f"{ID_MARK}{serial:014d}",
                    0 if hot else random.randrange(accounts or sizes.accounts),
                    random.randrange(len(SHAPES)),
                    now_us - random.randrange(60_000_000),
                    200 + random.randrange(7_800),
                    1 + random.randrange(1_000),
                )
            )
            serial += 1
        again = random.sample([event for past in recent for event in past], resent)
        recent.append(fresh)
        mixed = fresh + again
        random.shuffle(mixed)
        yield Batch(mixed, resent)
