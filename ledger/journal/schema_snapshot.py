"""The schema that the migrations make, as one file: for a database that has none of them yet.

`migrations/snapshot.sql` says in its first lines up to which migration it goes, and the digest of
their checksums. A new database is made from it in one transaction instead of one a migration, ten
times as fast; migrations that came after it follow, and an older database knows nothing of it. A
test compares what both ways make. `python -m tests.journal.snapshot` writes it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ledger.journal.migrate import Migration

FILE: Final = "snapshot.sql"
_STANDS_FOR: Final = re.compile(r"^-- stands for (\d{4}), ([0-9a-f]{64})$", re.MULTILINE)


def stands_for(migrations: Sequence[Migration]) -> str:
    """The line that says which migrations a snapshot is made of: all of these."""
    each = "".join(f"{migration.name} {migration.checksum}\n" for migration in migrations)
    return f"-- stands for {migrations[-1].number:04}, {sha256(each.encode()).hexdigest()}"


def load_snapshot(
    directory: Path, migrations: Sequence[Migration]
) -> tuple[str, tuple[Migration, ...]] | None:
    """The statements, and the migrations that need not be run after them; None = there is no
    snapshot, or it is not of these files: then the migrations are run."""
    path = directory / FILE
    if not path.exists():
        return None
    text = path.read_text("utf-8").replace("\r\n", "\n")
    said = _STANDS_FOR.search(text)
    if said is None:
        return None
    covered = tuple([each for each in migrations if each.number <= int(said[1])])
    return (text, covered) if covered and stands_for(covered) == said[0] else None
