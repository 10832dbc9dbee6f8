"""Promise: whatever the network does, every event is recorded once, under its id, in its order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ledger.client.events import Outcome
from ledger.client.limits import Limits
from ledger.client.retry import RetryPolicy
from tests.client.simulated import Fate, World, usage

FOREVER = RetryPolicy(give_up_us=0)

limits = st.builds(
    Limits,
    batch_events=st.integers(1, 9),
    batch_bytes=st.integers(400, 2_000),
    worth_events=st.integers(1, 5),
    linger_us=st.sampled_from([0, 2_000]),
    coalesce_us=st.sampled_from([0, 50_000]),
    in_flight=st.integers(1, 4),
    ordered=st.sampled_from([True, True, False]),
    pending_events=st.integers(1, 40),
    pending_bytes=st.integers(300, 8_000),
)
accounts = st.sampled_from(["a", "a/1", "a/2", "b", "b/1", "c", "d"])
fates = st.lists(st.sampled_from(Fate), max_size=40)
texts = st.sampled_from(["", "x" * 90])
sizes = st.lists(st.integers(0, 12), min_size=1, max_size=8)


@given(limits, fates, sizes, st.data())
def test_no_event_is_lost_or_sent_under_another_id_and_families_keep_their_order(
    limits: Limits, fates: list[Fate], sizes: list[int], data: st.DataObject
) -> None:
    world = World(limits, FOREVER, iter(fates))
    for account in ("a/1", "a/2", "b/1"):
        world.routing.learn(account, account[0], -1)
    number = 0
    deliveries, offered = [], []
    for size in sizes:
        events = []
        for _ in range(size):
            events.append(usage(number, data.draw(accounts), text=data.draw(texts)))
            number += 1
        offered += events
        deliveries.append(world.core.prepare(events))

    complete = world.run([delivery for delivery in deliveries if delivery.items])

    assert len(complete) == sum(1 for delivery in deliveries if delivery.items)
    for delivery in deliveries:
        assert [outcome.outcome for outcome in delivery.results()] == [Outcome.APPLIED] * len(
            delivery.items
        )
    assert set(world.sent) == {event.id for event in offered} == set(world.recorded)
    for family in "abcd":
        recorded = [id_ for id_, account in world.recorded.items() if account[0] == family]
        expected = [event.id for event in offered if event.account[0] == family]
        assert recorded == expected if limits.ordered else sorted(recorded) == sorted(expected)
    world.check_empty()


@given(limits, st.lists(st.sampled_from(Fate), min_size=1, max_size=6), st.integers(1, 30))
def test_what_is_given_up_never_claims_more_than_is_known(
    limits: Limits, fates: list[Fate], count: int
) -> None:
    """A server that never recovers: RETRY is only said of what was never recorded."""

    def for_ever() -> object:
        while True:
            yield from fates

    policy = RetryPolicy(give_up_us=3_000_000)
    world = World(limits, policy, for_ever())  # type: ignore[arg-type]
    events = [usage(number, "abcd"[number % 4]) for number in range(count)]
    delivery = world.core.prepare(events)
    world.run([delivery])
    for event, outcome in zip(events, delivery.results(), strict=True):
        if outcome.outcome is Outcome.RETRY:
            assert event.id not in world.recorded
        elif outcome.outcome is Outcome.APPLIED:
            assert event.id in world.recorded
        else:
            assert outcome.outcome is Outcome.UNKNOWN
    world.check_empty()


@given(limits, fates, st.integers(1, 60), st.integers(0, 20))
def test_closing_answers_everything_once(
    limits: Limits, fates: list[Fate], count: int, steps: int
) -> None:
    world = World(limits, FOREVER, iter(fates))
    delivery = world.core.prepare([usage(number, "abcd"[number % 4]) for number in range(count)])
    world.core.offer(delivery, world.now_us)
    for _ in range(steps):
        for batch in world.core.poll(world.now_us):
            world.send(batch)
        if not world.core.pending_events:
            break
        world.step()
    world.core.close(world.now_us)
    taken = delivery.outcomes[: delivery.taken]
    assert None not in taken
    assert delivery.outcomes[delivery.taken :] == [None] * (count - delivery.taken)
    for item, outcome in zip(delivery.items, taken, strict=False):
        assert outcome is not None
        if outcome.outcome is Outcome.RETRY:
            assert item.event.id not in world.recorded
    assert world.core.pending_events == world.core.pending_bytes == 0
