"""Keys, seals, proofs and verification as an operator and an auditor meet them: real processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from ledger.v1 import account_pb2, account_pb2_grpc, usage_pb2, usage_pb2_grpc
from tests.cli.processes import Server, drawdown, environment
from tests.integrity.sealing import ALL_SEALED, wait_until

ROOT = Path(__file__).resolve().parents[2]
EACH_SHARD = """
SELECT (SELECT count(DISTINCT shard) FROM ledger.seal) = (SELECT shards FROM ledger.settings)
"""


def use(address: str, *event_ids: str) -> None:
    """An account, and usage that no price is known for: it is recorded all the same."""
    with grpc.insecure_channel(address) as channel:
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant="default", request_id="create", account="acme"
            )
        )
        usage_pb2_grpc.UsageServiceStub(channel).Ingest(
            usage_pb2.IngestRequest(
                tenant="default",
                source="app",
                events=[
                    usage_pb2.UsageEvent(
                        id=each, account="acme", product="chat", quantities={"tokens": 7}
                    )
                    for each in event_ids
                ],
            )
        )


def told(*arguments: str, **variables: str) -> Any:
    """The JSON of a command that must succeed."""
    done = drawdown(*arguments, "--json", **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def proof_of(address: str, database: str, out: Path, *more: str) -> None:
    """As soon as the entry is sealed."""
    wait_until(database, ALL_SEALED)
    done = drawdown(
        *("prove", f"--address={address}", "--account=acme", "--source=app", "--id=evt-1"),
        *(f"--out={out}", *more),
    )
    assert done.returncode == 0, done.stderr


class Proven:
    """What the module's ledger left: a database, two keys, a proof."""

    def __init__(self, folder: Path, database: str) -> None:
        self.database = database
        self.folder = folder
        self.key, self.next_key = folder / "key.pem", folder / "next.pem"
        self.public, self.proof = folder / "public.pem", folder / "proof.json"

    def make(self) -> None:
        made = told("seal-key", "create", str(self.key))
        self.public.write_text(made["public_key"])
        server = self.serve(self.key)
        use(server.address, "evt-1", "evt-2", "evt-3")
        proof_of(server.address, self.database, self.proof, "--reveal-identity")
        assert server.end() == 0

    def serve(self, key: Path) -> Server:
        return Server(
            self.folder / "log",
            "--seal-every-s=1",
            "--no-projector",
            f"--seal-key={key}",
            DATABASE_URL=self.database,
        )


@pytest.fixture(scope="module")
def proven(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Proven:
    made = Proven(tmp_path_factory.mktemp("proven"), module_database)
    made.make()
    return made


@pytest.fixture
def auditor(proven: Proven, tmp_path: Path) -> Path:
    """Nothing but a proof and a public key, in a folder of its own."""
    for file in (proven.proof, proven.public):
        shutil.copy(file, tmp_path)
    return tmp_path


def offline(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As an auditor runs it: an empty environment, no network, no PostgreSQL."""
    code = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise AssertionError('the network is not needed')\n"
        "socket.socket.connect = socket.create_connection = refuse\n"
        "sys.argv[0] = 'drawdown'\n"
        "from ledger.cli.app import run\n"
        "try:\n    run()\n"
        "finally:\n    assert not {'asyncpg', 'grpc'} & sys.modules.keys(), 'too much is loaded'\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, "check-proof", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_auditor_checks_offline_with_the_public_key_alone(auditor: Path) -> None:
    done = offline(auditor, "proof.json", "--public-key=public.pem", "--json")
    assert done.returncode == 0, done.stderr
    says = json.loads(done.stdout)
    assert says["proven"] is True
    assert says["identity"] == {"kind": "usage", "source": "app", "id": "evt-1"}
    assert says["event"]["kind"] == "UsageRecorded"
    assert says["event"]["quantities"] == [7]
    assert says["plan"]["product"] == "chat"
    for_people = offline(auditor, "proof.json", "--public-key=public.pem")
    assert for_people.stdout.startswith("proven: entry ")
    assert "id=evt-1" in for_people.stdout
    assert "evt-2" not in for_people.stdout + (auditor / "proof.json").read_text()


def test_an_altered_proof_or_another_key_proves_nothing(auditor: Path) -> None:
    document = json.loads((auditor / "proof.json").read_text())
    document["entry"]["recorded_at_us"] += 1
    (auditor / "altered.json").write_text(json.dumps(document))
    (auditor / "none.json").write_text("{}")
    other = told("seal-key", "create", str(auditor / "other.pem"))
    (auditor / "other_public.pem").write_text(other["public_key"])
    for file, key, why in (
        ("altered.json", "public.pem", "does not lead to the sealed root"),
        ("proof.json", "other_public.pem", "none of those trusted"),
        ("none.json", "public.pem", "no proof"),
    ):
        done = offline(auditor, file, f"--public-key={key}")
        assert done.returncode == 4, done.stderr
        assert why in done.stderr
    assert offline(auditor, "absent.json", "--public-key=public.pem").returncode == 1
    assert offline(auditor, "proof.json", "--public-key=absent.pem").returncode == 2


def test_everything_is_sealed_when_the_server_has_stopped(proven: Proven) -> None:
    report = told("verify", f"--public-key={proven.public}", DATABASE_URL=proven.database)
    assert report["ok"] is True
    assert report["mode"] == "full"
    assert report["notes"] == []
    assert all(shard["seals"] and not shard["unsealed_entries"] for shard in report["shards"])


def test_a_key_is_rotated_and_everything_before_stays_provable(proven: Proven) -> None:
    mark = proven.folder / "mark.json"
    variables = {"DATABASE_URL": proven.database, "DRAWDOWN_SEAL_KEY": str(proven.key)}
    told("verify", f"--mark={mark}", **variables)
    told("seal-key", "create", str(proven.next_key))
    refused = drawdown("seal", DATABASE_URL=proven.database, DRAWDOWN_SEAL_KEY=str(proven.next_key))
    assert refused.returncode == 2
    assert "rotate" in refused.stderr
    done = drawdown("seal-key", "rotate", str(proven.next_key), **variables)
    assert done.returncode == 0, done.stderr
    keys = told("seal-key", "list", DATABASE_URL=proven.database)
    assert [bool(each["introduced_by"]) for each in keys] == [False, True]
    assert keys[1]["introduced_by"] == keys[0]["key_id"]
    server = proven.serve(proven.next_key)
    use(server.address, "evt-4")
    wait_until(proven.database, ALL_SEALED)
    assert server.end() == 0
    again = told("verify", f"--mark={mark}", "--since-last", **variables)
    assert again["ok"] is True
    assert again["mode"] == "incremental"
    assert any(shard["seals"] for shard in again["shards"])
    assert told("verify", f"--public-key={proven.public}", DATABASE_URL=proven.database)["ok"]


def test_refusals_say_what_to_do(proven: Proven, tmp_path: Path) -> None:
    for arguments, why in (
        (("verify", "--since-last"), "--mark"),
        (("seal",), "seal-key create"),
        (("seal-key", "show"), "--seal-key"),
        (("seal-key", "create", str(proven.key)), "never overwritten"),
        (("prove", "--account=acme", "--id=evt-1"), "--source"),
        (("prove", "--account=acme", "--entry=7"), "SHARD/ENTRY"),
        (("serve", f"--seal-key={tmp_path / 'none'}", "--metrics-port=0"), "cannot be read"),
    ):
        done = drawdown(*arguments, DATABASE_URL=proven.database)
        assert done.returncode == 2, (arguments, done.stderr)
        assert why in done.stderr, (arguments, done.stderr)


def test_without_a_key_a_database_of_yours_is_not_sealed_and_the_log_says_so(
    database: str, tmp_path: Path
) -> None:
    server = Server(tmp_path / "log", "--no-projector", DATABASE_URL=database)
    assert server.end() == 0
    assert "no seals are made: no key was given (--seal-key)" in server.log.read_text()
    report = told("verify", DATABASE_URL=database)
    assert report["notes"][0].startswith("no seals: ")


def test_an_embedded_ledger_makes_a_key_of_its_own(tmp_path: Path) -> None:
    """Without a word from anybody; only its owner can read it."""
    from ledger.journal.embedded_host import throwaway_root

    data_dir = throwaway_root() / f"drawdown-seal-{tmp_path.name}"
    try:
        server = Server(tmp_path / "log", f"--data-dir={data_dir}", "--no-projector")
        wait_until(server.ready["database_url"], EACH_SHARD)
        assert server.end() == 0
        assert (data_dir / "seal-key.pem").stat().st_mode & 0o777 == 0o600
        shown = told("seal-key", "show", f"--data-dir={data_dir}")
        assert shown["key_id"] in server.log.read_text()
        report = told("verify", f"--data-dir={data_dir}")
        assert report["ok"] is True
        assert report["notes"] == []
        assert all(shard["seals"] for shard in report["shards"])
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)


def test_the_child_seals_with_the_text_of_a_key(proven: Proven, database: str) -> None:
    """From the environment: no file at all."""
    text = proven.key.read_text()
    server = Server(
        proven.folder / "text.log", "--no-projector", DATABASE_URL=database, DRAWDOWN_SEAL_KEY=text
    )
    wait_until(database, EACH_SHARD)
    assert server.end() == 0
    assert text.splitlines()[1] not in server.log.read_text()
    report = told("verify", DATABASE_URL=database, DRAWDOWN_SEAL_KEY=text)
    assert report["ok"] is True
    assert report["notes"] == []
    assert "DRAWDOWN_SEAL_KEY" not in environment()
