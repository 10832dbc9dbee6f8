"""What stands back for a server does so among sessions too, where Linux groups them, and never
takes others along."""

from __future__ import annotations

import os
import subprocess
import sys

from ledger.niceness import AUTOGROUP

GROUPS = AUTOGROUP.exists()
"""Else a session says 0: it stands nowhere."""
SAYS = f"""
import os
from pathlib import Path
print(os.nice(0), Path({str(AUTOGROUP)!r}).read_text().split()[-1] if {GROUPS} else 0)
"""
AGAIN_MAX = 5
LEAST = 19
"""Nobody stands back further."""
STANDS_BACK = f"from ledger.niceness import stand_back; stand_back(10); {SAYS}"
STARTS_ANOTHER = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {STANDS_BACK!r}], check=True)
{SAYS}
"""

CONNECTS = f"""
import asyncio, os, sys
from pathlib import Path
from ledger.journal.connection import connect
from ledger.niceness import stand_back

async def say():
    connection = await connect(sys.argv[1], application_name="niceness")
    backend = connection.get_server_pid()
    session = Path(f"/proc/{{backend}}/autogroup").read_text().split()[-1] if {GROUPS} else 0
    print(os.getpriority(os.PRIO_PROCESS, backend), session)
    await connection.close()

asyncio.run(say())
stand_back(10)
asyncio.run(say())
"""


def said_in_a_session_of_its_own(script: str, *arguments: str) -> list[list[int]]:
    """Niceness of each process that said it, and of the session at that moment.

    Never in that of the tests: what a machine starts first may be in none that is grouped.
    """
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    return [[int(said) for said in line.split()] for line in done.stdout.splitlines()]


def says_in_the_end(wanted: list[int], script: str, *arguments: str) -> list[list[int]]:
    """What is said, the last of it as wanted. The kernel lets one session of the whole machine
    stand back in a tenth of a second: who is too late several times goes on as it is."""
    for _ in range(AGAIN_MAX):
        found = said_in_a_session_of_its_own(script, *arguments)
        if found[-1] == wanted:
            break
    assert found[-1] == wanted
    return found


def test_a_session_of_its_own_stands_back() -> None:
    stood = min(os.nice(0) + 10, LEAST)
    wanted = [stood, stood * GROUPS]
    assert says_in_the_end(wanted, STANDS_BACK) == [wanted]


def test_a_session_of_others_stays_where_it_is() -> None:
    ours = os.nice(0)
    assert said_in_a_session_of_its_own(STARTS_ANOTHER) == [[min(ours + 10, LEAST), 0], [ours, 0]]


def test_the_database_stands_back_in_what_it_does_for_who_stands_back(database: str) -> None:
    stood = min(os.nice(0) + 10, LEAST)
    before, _ = says_in_the_end([stood, stood * GROUPS], CONNECTS, database)
    assert before[1] == 0
