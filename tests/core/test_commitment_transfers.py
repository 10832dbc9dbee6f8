"""The early end of a commitment by transfer to another (rules D6, D7; B3, B4)."""

from __future__ import annotations

from core_world import CREDITS, FAMILY, START_US, TENANT, USD, Core, replay
from hypothesis import given
from hypothesis import strategies as st
from ledger_case import LedgerCase, ledger_case
from msgspec.structs import replace
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.catalog import Catalog
from ledger.core.digest import digest
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Refusal
from ledger.core.packing import pack_family, pack_shard, unpack_family, unpack_shard


@ledger_case
def test_what_is_left_moves_as_segments_of_the_target(case: LedgerCase) -> None:
    """
    # Rule D7: transfer. Units: grant -> commitment, commitment -> grant, at the exact rest of the
    # price; invoices that are to come move too.
    account   acme
    account   acme/eu  parent=acme
    commit    acme now..+31d:100/50 +31d..+59d:100/61 as=C invoices=40@2026-01-02,71@2026-02-02
    commit    acme/eu now..+90d:10/10 as=T
    usage     acme 33          -> drawn 33 from C.1
    clock     2026-01-15
    terminate C to=T
              -> invoiced 40; ended, moved 167 for 95; C.1 voided 67; added; C.2 voided 100; added
    expect    unbilled acme -24         # 16 were drawn, 40 invoiced
    expect    commitment C.1 33
    expect    available acme 0
    expect    available acme/eu 77
    usage     acme/eu 70       -> drawn 67 from T.2, drawn 3 from T.1
    expect    unbilled acme/eu 37       # 34 for 67, 3 for 3
    clock     2026-02-02
    sweep                      -> T.2 expired 0; invoiced 71
    expect    receivable acme/eu 71
    expect    receivable acme 40
    usage     acme/eu 100      -> drawn 100 from T.3
    expect    unbilled acme/eu 27       # 37 + 61 - 71
    terminate C                -> refused COMMITMENT_ENDED commitment_id
    """
    assert judged(case.core) == []


@ledger_case
def test_a_prepaid_rest_is_to_be_billed_to_the_account_that_takes_it(case: LedgerCase) -> None:
    """
    # Rule B4: debit deferred, credit unbilled of the one; debit unbilled, credit deferred of the
    # other, to the last unit of a price that does not divide.
    account   acme
    account   acme/eu  parent=acme
    commit    acme now..+31d:3/10 as=C prepaid
    commit    acme/eu now..+31d:3/9 as=T prepaid
    usage     acme 1           -> drawn 1 from C.1
    terminate C to=T           -> ended, moved 2 for 7; C.1 voided 2; added
    expect    unbilled acme 3
    expect    deferred C.1 0
    expect    unbilled acme/eu 16
    expect    deferred T.2 7
    clock     2026-02-02
    sweep                      -> T.1 expired 3; T.2 expired 2
    expect    money breakage 16
    """
    assert judged(case.core) == []


@ledger_case
def test_what_a_hold_gives_back_follows_the_rest(case: LedgerCase) -> None:
    """
    # Rules D6, D7: what is held stays until its hold ends; then it moves by its own entry, and by
    # the exact rest, however often the commitment moved on.
    account   acme
    commit    acme now..+31d:100/51 as=C
    commit    acme now..+31d:10/10 as=T for=image
    commit    acme now..+31d:10/10 as=U for=image
    hold      acme 20 as=h
    hold      acme 20 as=i
    terminate C to=T           -> ended, moved 60 for 30; C.1 voided 60; added
    capture   h 5              -> drawn 5 from C.1; C.1 voided 15; added
    expect    left T.3 15
    terminate T to=U           # three segments, 85 for 47
    release   i                -> released; C.1 voided 20; added
    expect    left U.5 20
    expect    left C.1 0
    terminate U                # trued up 115 for 69
    expect    unbilled acme 71          # all three prices
    """
    assert judged(case.core) == []


@ledger_case
def test_what_comes_back_late_ends_as_it_would_have_there(case: LedgerCase) -> None:
    """
    # Rules D6, D7: where the target was trued up, waived or is past its end by then.
    account   acme
    commit    acme now..+31d:10/10 as=A for=chat
    commit    acme now..+31d:10/10 as=B for=chat
    commit    acme now..+10d:10/10 as=D for=chat
    commit    acme now..+31d:10/10 as=T for=image
    commit    acme now..+31d:10/10 as=W for=image
    hold      acme 30 as=h lifetime=1d
    terminate D to=T           -> ended, moved 0 for 0; D.1 voided 0
    terminate A to=T           -> ended, moved 0 for 0; A.1 voided 0
    terminate B to=W           -> ended, moved 0 for 0; B.1 voided 0
    terminate T                -> ended, trued up 10 for 10; T.1 expired 10
    terminate W waive          -> ended, trued up 0 for 0; W.1 voided 10
    release   h                -> released; D.1 expired 10; A.1 expired 10; B.1 voided 10
    expect    unbilled acme 30          # T, D and A; B and W are waived
    """
    assert judged(case.core) == []


@ledger_case
def test_two_segments_that_move_repay_an_advance_once(case: LedgerCase) -> None:
    """
    # Rule B3: the next grant first pays the advance: what one repays, another does not.
    account   acme  overdraft=50
    commit    acme now..+31d:10/10 as=C for=image
    upsize    C now..+31d:20/20
    commit    acme +31d..+59d:1/1 as=T
    usage     acme 12          -> overdraft 12
    terminate C to=T           # moved 30 for 30, of which 10 and 2 repay
    expect    left T.2 0
    expect    left T.3 18
    """
    assert case.account("acme").advance[CREDITS].owed == 0
    assert judged(case.core) == []


@ledger_case
def test_a_transfer_is_recorded_once_and_names_its_target(case: LedgerCase) -> None:
    """
    # Rules D7, I1: a retry gets the first answer, another target is a conflict; a segment in its
    # grace keeps its own true-up.
    account   acme
    commit    acme now..+31d:10/10 +31d..+59d:5/5 as=C
    commit    acme now..+90d:10/10 as=T
    commit    acme now..+90d:10/10 as=U
    clock     2026-02-01T12:00
    terminate C to=T id=x      -> ended, moved 5 for 5; C.2 voided 5; added
    terminate C to=T id=x      -> replayed: ended, moved 5 for 5
    terminate C to=U id=x      -> refused CONFLICT target_commitment_id
    terminate C id=x           -> refused CONFLICT ending
    clock     2026-02-02
    sweep                      -> C.1 expired 10
    """
    state = case.core.state
    copy = unpack_shard(
        pack_shard(state, state.batch_seq, state.entry_seq, state.recorded_at), Catalog()
    )
    packed = pack_family(state, 1, state.settled_before)
    unpack_family(copy, packed)
    assert copy.commitments[1].moved_to == 2
    assert pack_family(copy, 1, state.settled_before) == packed


def test_the_rules_find_what_no_transfer_may_do() -> None:
    """Apart from the core: each figure of a transfer that the core would not write is a finding."""

    def told(kind: type, **changes: object) -> str:
        case = LedgerCase()
        case.run(
            """
            account   acme
            commit    acme now..2026-02-01:100/50 as=C invoices=50@2026-01-10
            commit    acme now..2026-02-01:100/50 as=T
            terminate C to=T
            """
        )
        for _, events in case.core.batches:
            for place, event in enumerate(events):
                if type(event) is kind and getattr(event, "of", 1):
                    events[place] = replace(event, **changes)
        return " ".join([finding.what for finding in judged(case.core)])

    ends_at = START_US + 31 * DAY_US
    assert told(e.CommitmentEnded) == ""
    assert "transfer" in told(e.CommitmentEnded, units=99)
    assert "invoices that move" in told(e.CommitmentEnded, invoices=())
    assert "target of a transfer" in told(e.CommitmentEnded, target=1)
    assert "money of grant 1" in told(e.GrantVoided, refunded=49)
    less = e.Segment(0, ends_at, 99, 50)
    assert "segment that a transfer adds" in told(e.SegmentAdded, segment=less)
    longer = e.Segment(0, ends_at + 1, 100, 50)
    assert "time of what moves" in told(e.SegmentAdded, segment=longer)
    assert "commitment that takes 1" in told(e.SegmentAdded, commitment=1)


# -- in any order ----------------------------------------------------------------------------------

small = st.integers(1, 30)
place = st.integers(0, 3)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("usage"), place, small),
        st.tuples(st.just("hold"), place, small),
        st.tuples(st.just("capture"), place, small),
        st.tuples(st.just("release"), place, small),
        st.tuples(st.just("transfer"), place, place),
        st.tuples(st.just("upsize"), place, small),
    ),
    max_size=25,
)
made = st.lists(
    st.tuples(
        st.sampled_from([e.GrantKind.POSTPAID, e.GrantKind.PREPAID]), small, st.integers(1, 99)
    ),
    min_size=2,
    max_size=4,
)


@given(made, steps)
def test_whatever_moves_the_committed_total_stays(
    commitments: list[tuple[e.GrantKind, int, int]], steps: list[tuple[str, int, int]]
) -> None:
    """Rules D6, D7: in units and in money, what the commitments of a family are worth in all is
    what they were made of, to the last unit, whatever was drawn and is held; rules B4, B7: the
    books say the same."""
    core = Core()
    for account in (1, 2):
        parent = 0 if account == 1 else 1
        policy = e.AccountPolicy(overage=e.Overage.SELF)
        core.run(c.CreateAccount(FAMILY.request(f"a{account}"), TENANT, account, parent, 1, policy))
    units = money = requests = 0
    now = core.state.recorded_at
    for kind, amount, price in commitments:
        requests += 1
        terms = e.CommitmentTerms(kind, CREDITS, USD, 0, ())
        half = (
            e.Segment(0, now + 10 * DAY_US, amount, price),
            e.Segment(now + 10 * DAY_US, now + 20 * DAY_US, amount, price),
        )
        command = c.CreateCommitment(
            FAMILY.request(f"r{requests}"), 1 + requests % 2, terms, half, (), b""
        )
        assert not isinstance(core.run(command), Refusal)
        units, money = units + 2 * amount, money + 2 * price
    for what, one, other in steps:
        requests += 1
        key = FAMILY.request(f"r{requests}")
        state = core.state
        account = 1 + one % 2
        found = list(state.commitments.values())
        first, second = found[one % len(found)], found[other % len(found)]
        holds = [hold for hold in state.holds.values() if hold.left] or [None]
        hold = holds[one % len(holds)]
        shape = core.shape("chat", "tokens")
        if what == "usage":
            core.run(c.RecordUsage(key, account, shape, (other,), 0, c.NO_NAMES))
        elif what == "hold":
            core.run(c.AuthorizeHold(key, account, shape, (other,), 0))
        elif what == "capture" and hold is not None:
            owner = hold.account.number
            core.run(c.CaptureHold(key, owner, hold.number, ("tokens",), (other,), 0))
        elif what == "release" and hold is not None:
            core.run(c.ReleaseHold(key, hold.account.number, hold.number))
        elif what == "upsize":
            segment = e.Segment(0, now + 15 * DAY_US, other, other)
            number = first.account.number
            if not isinstance(
                core.run(c.AddSegment(key, number, first.number, segment, ())), Refusal
            ):
                units, money = units + other, money + other
        elif what == "transfer":
            command = c.EndCommitment(
                key,
                first.account.number,
                first.number,
                e.CommitmentEnding.TRANSFER,
                second.account.number,
                second.number,
            )
            goes_on = not first.ended_at and not second.ended_at and first is not second
            assert isinstance(core.run(command), Refusal) != goes_on
        grants = [g for each in core.state.commitments.values() for g in each.grants]
        assert sum([grant.amount - grant.unused for grant in grants]) == units
        assert sum([grant.price_paid - grant.returned for grant in grants]) == money
    core.state.books.check()
    assert judged(core) == []
    assert digest(replay(core.journal())) == digest(core.state)
