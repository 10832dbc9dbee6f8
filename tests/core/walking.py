"""Random walks over a family that uses all of the core at once: packages, contracts, seats, fees,
caps, shared grants, budgets and statements amid the credit model, by ordinary and sandbox clocks.

    python tests/core/walking.py --seeds 0..1999     # [--length 60]; ends at the first that fails
    python tests/core/walking.py --seeds 7           # one, and its steps

A seed says all of a walk. After each step the books balance, a refusal has changed no byte, and
what `core_machine` says of every state holds, where caps and packages leave it true; in the end
verify finds nothing, families that leave memory come back as they were, the journal as bytes gives
the same state, and each statement begins with what the one before it ends with. What fails says
its seed and its steps.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from random import Random

from core_machine import WORLDS, CoreMachine
from core_world import FAMILY, SandboxCore
from test_statement_figures import statements
from test_verify_rules import judged
from walking_actions import ACTIONS, TEMPERS, Action
from walking_world import GivenTogether, SeatsReleased, TakenBack, WalkedCase, publish_packages

from ledger.core import commands as c
from ledger.core.digest import digest
from ledger.core.outcomes import Refusal
from ledger.core.packages.packaged import PackagedUnit
from ledger.core.packing import drop_family, pack_family, unpack_family, whole

LENGTH = 60
UNITS = (PackagedUnit.WEEK, PackagedUnit.MONTH)
NOT_HERE = {
    "available_is_what_may_pay",  # the naive model knows neither caps nor seats
    "a_commitment_is_drawn_trued_up_or_left",  # nor what of one rolls into the next term
    "the_journal_replays_to_the_same_state",  # looked at once, in the end
}


class WalkFailed(AssertionError):
    """What a walk met, with its seed and its steps."""


class Walk(CoreMachine):
    """One walk: the family of `CoreMachine`, the packages that are published, and one account that
    most steps are about, so that what takes several of them comes about."""

    def __init__(self, drawn: Random) -> None:
        super().__init__()
        self.case = WalkedCase()
        if drawn.random() < 0.25:
            self.case.core = SandboxCore()
        self.case.run("account acme\naccount eu parent=acme\naccount sales parent=eu")
        self.begin(drawn.choice(WORLDS))
        publish_packages(self.case.core, drawn.choice(UNITS))
        self.liked = drawn.choice(("acme", "eu", "sales"))
        self.steps: list[str] = []
        core = self.case.core
        self._watched = (TakenBack(core), SeatsReleased(core), GivenTogether(core))
        self._invariants = [
            each.function for each in self.invariants if each.function.__name__ not in NOT_HERE
        ]

    # -- what actions ask ------------------------------------------------------------------------

    def do(self, statement: str) -> str:
        """Run a statement, whatever comes of it."""
        self._before(statement)
        verb, *words = statement.split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        told: str = getattr(self.case, f"_{verb}")(options, *[w for w in words if "=" not in w])
        self._after(told, refused=told.startswith("refused"))
        return told

    def ask(self, command: c.Command) -> None:
        """Run a command, whatever comes of it."""
        self._before(repr(command))
        outcome, told = self.case.execute(command)
        self._after(told, refused=isinstance(outcome, Refusal))

    def _before(self, asked: str) -> None:
        """What is due is posted, so that all that changes then is by what is asked."""
        self.steps.append(asked)
        case, state = self.case, self.case.core.state
        case.core.sweep(10_000)
        for account in state.accounts.values():
            account.find_next_due()
        case.read()
        self._watch()
        self._digest, self._entries = digest(state), len(case.core.batches[-1][1])

    def _after(self, told: str, *, refused: bool) -> None:
        self.steps[-1] += f" -> {told}"
        case = self.case
        case.read()
        if refused:
            assert len(case.core.batches[-1][1]) == self._entries, told
            assert digest(case.core.state) == self._digest, told
        self._watch()

    def _watch(self) -> None:
        for each in self._watched:
            each.look()

    def key(self) -> bytes:
        return FAMILY.request(f"asked {self.fresh()}")

    def name_of(self, drawn: Random) -> str:
        """An account's name, mostly of the one that the walk is about."""
        return self.liked if drawn.random() < 0.6 else drawn.choice(sorted(self.case.accounts))

    def number_of(self, drawn: Random) -> int:
        return self.case.accounts[self.name_of(drawn)]

    def contract(self, drawn: Random, account: int) -> str:
        """One of the account's contracts, mostly the last."""
        names = [each.name for each in self.case.core.state.accounts[account].contracts]
        return drawn.choice([*names, *names[-1:] * 3]) if names else "none"

    def page(self) -> None:
        """Each family leaves memory and comes back: the same state, the same bytes."""
        self.steps.append("page")
        core, state = self.case.core, self.case.core.state
        core.sweep(10_000)
        self.case.read()
        before = digest(state)
        for root in list(state.families):
            body = pack_family(state, root, state.settled_before)
            drop_family(state, root)
            unpack_family(state, body)
            assert pack_family(state, root, state.settled_before) == body, root
        assert digest(state) == before

    # -- what must hold --------------------------------------------------------------------------

    def look(self) -> None:
        """After each step."""
        for each in self._invariants:
            each(self)

    def finish(self) -> None:
        """In the end."""
        case, state = self.case, self.case.core.state
        self.page()
        assert case.replays()
        state.books.check()
        assert digest(whole(state, {})) == digest(state)
        found = judged(case.core)
        assert found == [], found
        self._statements_follow()

    def _statements_follow(self) -> None:
        """Each statement of the family's root begins with what the one before it ends with, where
        both are of the same accounts."""
        found = statements(self.case)
        for (name, number), statement in found.items():
            following = found.get((name, number + 1))
            if following is None or self.case.account(name).parent is not None:
                continue
            if statement.head.consolidated == following.head.consolidated:
                ended = {book.key: book.closing for book in statement.books if book.closing}
                began = {book.key: book.opening for book in following.books if book.opening}
                assert ended == began, (name, number)


def walk(seed: int, length: int = LENGTH, actions: Mapping[str, Action] = ACTIONS) -> Walk:
    """So many steps, drawn from the table of actions by what the walk likes; the seed says which.
    Raises WalkFailed."""
    drawn = Random(seed)
    walking = Walk(drawn)
    temper = TEMPERS[seed % len(TEMPERS)]
    names = sorted(actions)
    weights = [actions[name].weight * temper.get(actions[name].topic, 1) for name in names]
    try:
        for name in drawn.choices(names, weights, k=length):
            actions[name].act(walking, drawn)
            walking.look()
        walking.finish()
    except Exception as error:
        what = f"seed {seed}, length {length}: {type(error).__name__}: {error}"
        raise WalkFailed(f"{what}\n{told(walking)}") from error
    return walking


def told(walking: Walk) -> str:
    """The steps of a walk, and what came of each."""
    return "\n".join(f"  {place:3} {step}" for place, step in enumerate(walking.steps, 1))


def main(arguments: Sequence[str]) -> int:
    """Walk by seeds A..B; says how many there were, or the first that fails; of one, its steps."""
    parser = argparse.ArgumentParser(description="Random walks over all of the core at once.")
    parser.add_argument("--seeds", default="0..499", help="A..B, or one")
    parser.add_argument("--length", type=int, default=LENGTH, help="steps of each walk")
    given = parser.parse_args(arguments)
    first, _, last = given.seeds.partition("..")
    steps = entries = 0
    for seed in range(int(first), int(last or first) + 1):
        try:
            walked = walk(seed, given.length)
        except WalkFailed as failed:
            sys.stdout.write(f"{failed}\n")
            return 1
        if not last:
            sys.stdout.write(f"{told(walked)}\n")
        steps += len(walked.steps)
        entries += sum(len(events) for _, events in walked.case.core.batches)
    sys.stdout.write(f"seeds {given.seeds}: all hold; {steps} steps, {entries} entries\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
