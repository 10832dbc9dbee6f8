"""The core's habits, one by one: when batches leave, what waits, what is sent again and when."""

from __future__ import annotations

import pytest

from ledger.client.errors import InvalidEvent
from ledger.client.events import EventOutcome, Outcome, UsageEvent
from ledger.client.limits import Limits
from ledger.client.parcels import Batch
from ledger.client.retry import FailureKind, RetryPolicy, classify
from tests.client.simulated import BUSY, LOST, REFUSED, World, failure, usage

POLICY = RetryPolicy(first_us=100_000, longest_us=1_000_000, give_up_us=60_000_000)


def world(**limits: int) -> World:
    return World(Limits(**limits), POLICY, iter(()))


def offer(w: World, *accounts: str) -> None:
    delivery = w.core.prepare(usage(next(w.numbers), account) for account in accounts)
    assert w.core.offer(delivery, w.now_us)


def accounts_of(batch: Batch) -> list[str]:
    return [item.event.account for item in batch.items]


def ids_of(batch: Batch) -> list[str]:
    return [item.event.id for item in batch.items]


def applied(batch: Batch) -> list[EventOutcome]:
    return [EventOutcome(Outcome.APPLIED)] * len(batch.items)


def test_an_event_lingers_for_company_then_leaves() -> None:
    w = world(linger_us=2_000)
    offer(w, "a")
    assert w.core.poll(w.now_us) == []
    assert w.core.wake_us(w.now_us) == w.now_us + 2_000
    offer(w, "b")
    [batch] = w.core.poll(w.now_us + 2_000)
    assert accounts_of(batch) == ["a", "b"]
    assert w.core.wake_us(w.now_us) is None


def test_flush_does_not_linger() -> None:
    w = world(linger_us=2_000)
    offer(w, "a")
    w.core.flush()
    assert len(w.core.poll(w.now_us)) == 1


def test_a_full_batch_does_not_linger() -> None:
    w = world(linger_us=2_000, batch_events=2)
    offer(w, "a", "b", "c")
    [batch] = w.core.poll(w.now_us)
    assert accounts_of(batch) == ["a", "b"]


def test_what_waits_while_a_batch_is_in_flight_is_coalesced() -> None:
    w = world(linger_us=0, coalesce_us=50_000)
    offer(w, "a")
    [first] = w.core.poll(w.now_us)
    offer(w, "b")
    offer(w, "c")
    assert w.core.poll(w.now_us + 49_999) == []
    w.core.succeeded(first.number, applied(first), w.now_us + 49_999)
    [second] = w.core.poll(w.now_us + 49_999)
    assert accounts_of(second) == ["b", "c"]


def test_an_unanswered_batch_holds_nobody_back_for_long() -> None:
    w = world(linger_us=0, coalesce_us=50_000)
    offer(w, "a")
    assert w.core.poll(w.now_us)
    offer(w, "b")
    [batch] = w.core.poll(w.now_us + 50_000)
    assert accounts_of(batch) == ["b"]


def test_a_family_is_in_one_batch_at_a_time_and_others_overtake() -> None:
    w = world(linger_us=0, coalesce_us=0)
    offer(w, "a")
    [first] = w.core.poll(w.now_us)
    offer(w, "a", "b", "a")
    [second] = w.core.poll(w.now_us)
    assert accounts_of(second) == ["b"]
    w.core.succeeded(first.number, applied(first), w.now_us)
    [third] = w.core.poll(w.now_us)
    assert accounts_of(third) == ["a", "a"]


def test_without_order_a_family_fills_several_batches() -> None:
    w = world(linger_us=0, coalesce_us=0, batch_events=2, in_flight=3, ordered=False)
    offer(w, "a", "a", "a", "a", "a")
    first, second, third = w.core.poll(w.now_us)
    assert [ids_of(batch) for batch in (first, second, third)] == [
        ["e-0", "e-1"],
        ["e-2", "e-3"],
        ["e-4"],
    ]
    w.core.failed(second.number, LOST, w.now_us)
    w.core.succeeded(first.number, applied(first), w.now_us)
    w.core.succeeded(third.number, applied(third), w.now_us)
    [again] = w.core.poll(w.now_us + 75_000)
    assert ids_of(again) == ["e-2", "e-3"]


def test_members_of_a_family_keep_their_order_once_the_root_is_known() -> None:
    w = world(linger_us=0, coalesce_us=0)
    w.routing.learn("a/1", "a", 0)
    offer(w, "a")
    assert w.core.poll(w.now_us)
    offer(w, "a/1")
    assert w.core.poll(w.now_us) == []


def test_an_account_stays_where_its_pending_events_are_though_its_root_becomes_known() -> None:
    w = world(linger_us=0, coalesce_us=0)
    offer(w, "a/1")
    [first] = w.core.poll(w.now_us)
    w.routing.learn("a/1", "a", 0)
    offer(w, "a/1")
    assert w.core.poll(w.now_us) == []  # behind the first, not beside it
    w.core.succeeded(first.number, applied(first), w.now_us)
    assert len(w.core.poll(w.now_us)) == 1


@pytest.mark.parametrize("why", [LOST, BUSY])
def test_a_failed_batch_goes_again_with_the_same_ids_after_a_while(why: object) -> None:
    w = world(linger_us=0)
    offer(w, "a", "b", "a")
    [first] = w.core.poll(w.now_us)
    offer(w, "a")
    w.core.failed(first.number, why, w.now_us)  # type: ignore[arg-type]
    wake_us = w.core.wake_us(w.now_us)
    assert wake_us == w.now_us + 75_000  # half of 100 ms and half of the rest: randrange is n // 2
    [again] = w.core.poll(wake_us)
    assert ids_of(again) == ["e-0", "e-2", "e-3", "e-1"]


def test_waiting_doubles_up_to_its_limit_and_ends_with_an_answer() -> None:
    w = world(linger_us=0)
    offer(w, "a")
    waits = []
    for _ in range(6):
        [batch] = w.core.poll(w.now_us)
        w.core.failed(batch.number, LOST, w.now_us)
        wake_us = w.core.wake_us(w.now_us)
        assert wake_us is not None
        waits.append(wake_us - w.now_us)
        w.now_us = wake_us
    assert waits == [75_000, 150_000, 300_000, 600_000, 750_000, 750_000]
    [batch] = w.core.poll(w.now_us)
    w.core.succeeded(batch.number, applied(batch), w.now_us)
    offer(w, "a")
    assert len(w.core.poll(w.now_us)) == 1


def test_the_server_may_ask_for_more_patience() -> None:
    w = world(linger_us=0)
    offer(w, "a")
    [batch] = w.core.poll(w.now_us)
    w.core.failed(batch.number, failure(FailureKind.RETRY, retry_after_us=9_000_000), w.now_us)
    assert w.core.wake_us(w.now_us) == w.now_us + 9_000_000


def test_after_a_failure_one_batch_probes_before_others_follow() -> None:
    w = world(linger_us=0, coalesce_us=0, batch_events=1, in_flight=3)
    offer(w, "a", "b", "c", "d")
    batches = w.core.poll(w.now_us)
    assert len(batches) == 3
    for batch in batches:
        w.core.failed(batch.number, LOST, w.now_us)
    wake_us = w.core.wake_us(w.now_us)
    assert wake_us == w.now_us + 75_000  # three that fail together are one failure
    [probe] = w.core.poll(wake_us)
    w.core.succeeded(probe.number, applied(probe), wake_us)
    assert len(w.core.poll(wake_us)) == 3


def test_a_family_that_must_retry_rests_and_others_go_on() -> None:
    w = world(linger_us=0)
    offer(w, "a", "b")
    [batch] = w.core.poll(w.now_us)
    outcomes = [EventOutcome(Outcome.RETRY, reason="WRITER_REOPENING"), applied(batch)[0]]
    w.core.succeeded(batch.number, outcomes, w.now_us)
    offer(w, "a", "b")
    [next_batch] = w.core.poll(w.now_us)
    assert accounts_of(next_batch) == ["b"]
    w.core.succeeded(next_batch.number, applied(next_batch), w.now_us)
    assert w.core.wake_us(w.now_us) == w.now_us + 75_000
    [again] = w.core.poll(w.now_us + 75_000)
    assert ids_of(again) == ["e-0", "e-2"]


def test_a_refused_batch_is_answered_and_not_sent_again() -> None:
    w = world(linger_us=0)
    delivery = w.core.prepare([usage(1, "a")])
    w.core.offer(delivery, w.now_us)
    [batch] = w.core.poll(w.now_us)
    assert w.core.failed(batch.number, REFUSED, w.now_us) == [delivery]
    [outcome] = delivery.results()
    assert (outcome.outcome, outcome.reason) == (Outcome.INVALID, "TENANT_UNKNOWN")
    assert not outcome.judged
    assert w.core.wake_us(w.now_us) is None


def test_once_unknown_stays_unknown_though_a_later_attempt_was_not_applied() -> None:
    w = World(Limits(linger_us=0), RetryPolicy(give_up_us=200_000), iter(()))
    delivery = w.core.prepare([usage(1, "a")])
    w.core.offer(delivery, w.now_us)
    [batch] = w.core.poll(w.now_us)
    w.core.failed(batch.number, LOST, w.now_us)
    [batch] = w.core.poll(w.now_us + 150_000)
    assert w.core.failed(batch.number, BUSY, w.now_us + 200_000) == [delivery]
    assert delivery.results()[0].outcome is Outcome.UNKNOWN


def test_a_refusal_says_nothing_of_an_attempt_before_that_may_have_been_recorded() -> None:
    w = world(linger_us=0)
    delivery = w.core.prepare([usage(1, "a")])
    w.core.offer(delivery, w.now_us)
    [batch] = w.core.poll(w.now_us)
    w.core.failed(batch.number, LOST, w.now_us)
    [batch] = w.core.poll(w.now_us + 150_000)
    refused = classify("UNAUTHENTICATED", "the token has expired")
    assert w.core.failed(batch.number, refused, w.now_us + 200_000) == [delivery]
    [outcome] = delivery.results()
    assert (outcome.outcome, outcome.reason) == (Outcome.UNKNOWN, "UNAUTHENTICATED")


def test_a_full_buffer_takes_no_more_until_there_is_room() -> None:
    w = world(linger_us=0, pending_events=2)
    delivery = w.core.prepare([usage(number, "a") for number in range(3)])
    assert not w.core.offer(delivery, w.now_us)
    assert delivery.taken == 2
    [batch] = w.core.poll(w.now_us)
    assert not w.core.offer(delivery, w.now_us)  # in flight counts too
    w.core.succeeded(batch.number, applied(batch), w.now_us)
    assert w.core.offer(delivery, w.now_us)


def test_a_new_shard_map_moves_what_waits_and_not_what_is_in_flight() -> None:
    w = world(linger_us=0, coalesce_us=0)
    offer(w, "a")
    [first] = w.core.poll(w.now_us)
    offer(w, "a", "b")
    w.routing.take_map("blake2b-64", {0: "other:2"})
    w.core.reroute()
    [second] = w.core.poll(w.now_us)
    assert (first.address, second.address, accounts_of(second)) == ("home:1", "other:2", ["b"])
    w.core.succeeded(first.number, applied(first), w.now_us)
    [third] = w.core.poll(w.now_us)
    assert (third.address, accounts_of(third)) == ("other:2", ["a"])


@pytest.mark.parametrize(
    ("event", "reason", "field"),
    [
        (UsageEvent("e", "a", {"t": 2**63}), "NUMBER_OUT_OF_RANGE", "quantities['t']"),
        (UsageEvent("e", "a", {"t": True}), "NUMBER_OUT_OF_RANGE", "quantities['t']"),
        (
            UsageEvent("e", "a", {"t": 1}, effective_at_us=2**63),
            "NUMBER_OUT_OF_RANGE",
            "effective_at_us",
        ),
        (UsageEvent("\ud800", "a", {"t": 1}), "TEXT_INVALID", "id"),
        (UsageEvent("e", 7, {"t": 1}), "TEXT_INVALID", "account"),  # type: ignore[arg-type]
        (UsageEvent("e", "a", {"t": 1}, attributes={"k": "\udfff"}), "TEXT_INVALID", "attributes"),
        (
            UsageEvent("e", "a", {"t": 1}, personal_attributes={"k": None}),
            "TEXT_INVALID",
            "personal_attributes",
        ),  # type: ignore[dict-item]
        (
            UsageEvent("e", "a", {"t": 1}, attributes={"k": "x" * 9_000_000}),
            "EVENT_TOO_LARGE",
            "id",
        ),
    ],
)
def test_what_fits_into_no_message_is_refused_before_anything_is_taken(
    event: UsageEvent, reason: str, field: str
) -> None:
    w = world()
    with pytest.raises(InvalidEvent) as caught:
        w.core.prepare([usage(1, "a"), event])
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert len(str(caught.value)) < 400
    assert w.core.pending_events == 0


@pytest.mark.parametrize(
    "limits",
    [
        {"batch_events": 0},
        {"batch_events": 8_193},
        {"batch_bytes": 0},
        {"in_flight": 0},
        {"linger_us": -1},
    ],
)
def test_limits_that_cannot_work_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(limits))):
        Limits(**limits)
