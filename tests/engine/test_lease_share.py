"""Fair shares: everybody computes the same, nothing moves without need."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ledger.engine.lease_share import Plan, plan, shares
from ledger.journal.leases import Lease, LeaseView, Member

TERM = 2_000_000


def view(owners: dict[int, str], members: list[str], leaving: tuple[str, ...] = ()) -> LeaseView:
    return LeaseView(
        tuple(Lease(shard, 1, owner, f"{owner}:1", TERM) for shard, owner in owners.items()),
        tuple(Member(name, f"{name}:1", name in leaving, TERM) for name in members),
    )


def test_one_process_takes_everything_at_once() -> None:
    assert plan(4, view({}, ["a"]), "a", []) == Plan((0, 1, 2, 3), -1, 4)


def test_who_has_too_much_gives_one_after_the_other() -> None:
    seen = view(dict.fromkeys(range(4), "a"), ["a", "b"])
    assert plan(4, seen, "a", range(4)) == Plan((), 3, 2)
    assert plan(4, seen, "b", []) == Plan((), -1, 2)
    released = view(dict.fromkeys(range(3), "a"), ["a", "b"])
    assert plan(4, released, "a", range(3)).give == -1, "one is free already: let it be taken"
    assert plan(4, released, "b", []).take == (3,)


def test_the_shards_of_a_dead_process_are_shared_out() -> None:
    seen = view({0: "a", 1: "a", 2: "b"}, ["a", "b"])  # 3 to 5 were another's
    takes = [plan(6, seen, "a", [0, 1]).take, plan(6, seen, "b", [2]).take]
    assert [len(take) for take in takes] == [1, 2]
    assert sorted({*takes[0], *takes[1]}) == [3, 4, 5], "not after the same one"


def test_whoever_leaves_gives_while_somebody_is_there() -> None:
    seen = view({0: "a", 1: "a"}, ["a", "b"], leaving=("a",))
    assert plan(2, seen, "a", [0, 1], leaving=True) == Plan((), 1, 0)
    assert plan(2, seen, "b", []).share == 2, "who leaves is not counted on"
    alone = view({0: "a"}, ["a"], leaving=("a",))
    assert plan(1, alone, "a", [0], leaving=True) == Plan((), -1, 0)


def test_a_lease_of_ours_that_we_do_not_know_of_is_free_for_us() -> None:
    """Won by a statement whose answer was lost."""
    assert plan(2, view({0: "a", 1: "a"}, ["a"]), "a", [1]).take == (0,)


def test_what_the_entitled_do_not_take_in_time_anybody_takes() -> None:
    seen = view({0: "a"}, ["a", "b"])  # b never takes shard 1
    assert plan(2, seen, "a", [0]).take == ()
    assert plan(2, seen, "a", [0], overdue=[1]).take == (1,)


@given(
    st.integers(1, 64), st.dictionaries(st.sampled_from("abcdefg"), st.integers(0, 64), min_size=1)
)
def test_shares_are_fair_and_whole(shards: int, held: dict[str, int]) -> None:
    fair = shares(shards, held)
    assert sum(fair.values()) == shards
    assert max(fair.values()) - min(fair.values()) <= 1
    assert all(
        fair[one] >= fair[other] for one in held for other in held if held[one] > held[other]
    )


@given(st.integers(1, 16), st.integers(1, 5), st.randoms())
def test_everybody_acting_alone_comes_to_rest_with_fair_shares(
    shards: int, processes: int, chance: object
) -> None:
    names = [f"p{n}" for n in range(processes)]
    owners: dict[int, str] = {}
    for turn in range(10 * shards + 10):
        name = names[turn % processes]
        mine = [shard for shard, owner in owners.items() if owner == name]
        step = plan(shards, view(owners, names), name, mine)
        for shard in step.take:
            assert owners.setdefault(shard, name) == name
        if step.give >= 0:
            del owners[step.give]
    counts = [list(owners.values()).count(name) for name in names]
    assert sum(counts) == shards
    assert max(counts) - min(counts) <= 1
