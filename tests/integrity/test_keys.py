"""Keys follow one another: trust in one reaches those that are linked to it, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from ledger.cli.sealing import key_to_seal_with, own_key_file
from ledger.integrity.key_files import (
    KeyUnusable,
    create_key,
    public_pem,
    read_key,
    read_public_key,
)
from ledger.integrity.keys import (
    KeyRecord,
    SealKey,
    faults_of,
    introduce,
    key_id_of,
    trusted_keys,
)
from ledger.settings import SealSettings
from tests.integrity.sealing import INSTANCE, KEY, NEXT_KEY, OTHER_KEY, key_of


def chain(*steps: tuple[SealKey, SealKey | None]) -> list[KeyRecord]:
    """Records of (new key, the key that vouches)."""
    records: list[KeyRecord] = []
    for at, (new, old) in enumerate(steps):
        before = records[-1] if records else None
        records.append(introduce(new, old, before, INSTANCE, 1_000 + at))
    return records


def faults(records: list[KeyRecord]) -> list[str]:
    return [
        fault
        for at, each in enumerate(records)
        for fault in faults_of(each, records[:at], INSTANCE)
    ]


def test_the_record_of_a_key_is_what_it_was() -> None:
    """Fixed for ever: hash of the second record of a chain of known keys."""
    records = chain((KEY, None), (NEXT_KEY, KEY))
    assert key_id_of(KEY.public_key).hex() == "697627c659adedf45f4bbdb27539e4df"
    assert (
        records[1].hash().hex()
        == "d6dcddc0d657c908e3bfa1c452cf55fcb3dc5f0d3073753fda25ab0cc0bf408d"
    )


def test_trust_goes_along_the_chain_in_both_directions() -> None:
    third = key_of(9)
    records = chain((KEY, None), (NEXT_KEY, KEY), (third, NEXT_KEY))
    assert faults(records) == []
    everybody = {each.key_id: each.public_key for each in (KEY, NEXT_KEY, third)}
    for anchor in (KEY, NEXT_KEY, third):
        assert trusted_keys(records, [anchor.public_key]) == everybody


def test_a_key_that_nobody_vouched_for_is_trusted_by_itself_only() -> None:
    """After a loss, or when somebody with the database slips one in."""
    records = chain((KEY, None), (OTHER_KEY, None), (NEXT_KEY, OTHER_KEY))
    assert faults(records) == []
    assert set(trusted_keys(records, [KEY.public_key])) == {KEY.key_id}
    assert set(trusted_keys(records, [NEXT_KEY.public_key])) == {NEXT_KEY.key_id, OTHER_KEY.key_id}
    both = trusted_keys(records, [KEY.public_key, OTHER_KEY.public_key])
    assert len(both) == 3


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"instance": bytes(16)},
        {"key_seq": 7},
        {"key_id": bytes(16)},
        {"public_key": OTHER_KEY.public_key},
        {"introduced_by": OTHER_KEY.key_id},
        {"introduced_at_us": 999},
        {"prev_hash": b"\x01" * 32},
        {"old_signature": b"\x01" * 64},
        {"signature": b"\x01" * 64},
    ],
)
def test_no_field_of_a_record_may_change(at: int, change: dict[str, object]) -> None:
    records = chain((KEY, None), (NEXT_KEY, KEY))
    records[at] = replace(records[at], **change)
    assert faults(records)


def test_a_stranger_cannot_vouch() -> None:
    records = chain((KEY, None))
    record = introduce(NEXT_KEY, OTHER_KEY, records[0], INSTANCE, 5_000)
    assert faults_of(record, records, INSTANCE) == ["the key that introduces it is not known"]
    pretended = replace(record, introduced_by=KEY.key_id)
    pretended = replace(
        pretended,
        old_signature=OTHER_KEY.sign(pretended.message()),
        signature=NEXT_KEY.sign(pretended.message()),
    )
    assert faults_of(pretended, records, INSTANCE) == [
        "the signature of the key that introduces it does not hold"
    ]


def test_a_record_that_is_signed_but_does_not_follow() -> None:
    first, other = chain((KEY, None)), chain((OTHER_KEY, None))
    for before, why in (
        (other[0], "it does not name the record before it"),
        (None, "key_seq 1 does not follow 1"),
        (replace(first[0], key_seq=4), "key_seq 5 does not follow 1"),
    ):
        record = introduce(NEXT_KEY, KEY, before, INSTANCE, 5_000)
        assert why in faults_of(record, first, INSTANCE)


# -- files -----------------------------------------------------------------------------------------


def test_a_key_file_is_its_owner_s_alone(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    made = create_key(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_key(str(file)).public_key == made.public_key
    assert read_key(file.read_text()).public_key == made.public_key  # from the environment
    assert read_public_key(str(file)) == made.public_key
    public = tmp_path / "public.pem"
    public.write_text(public_pem(made.public_key))
    assert read_public_key(str(public)) == made.public_key
    with pytest.raises(KeyUnusable, match="never overwritten"):
        create_key(file)
    with pytest.raises(KeyUnusable, match="cannot be written"):
        create_key(tmp_path / "nowhere" / "key.pem")


def test_a_key_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is killed while it makes one leaves nothing that the next start would stumble on."""

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    file = tmp_path / "key.pem"
    with monkeypatch.context() as patched:
        patched.setattr("ledger.integrity.key_files.os.fchmod", killed)
        with pytest.raises(Killed):
            create_key(file)
    assert not file.exists()
    made = create_key(file)
    assert read_key(str(file)).key_id == made.key_id
    assert [each.name for each in tmp_path.iterdir()] == ["key.pem"]


def test_two_first_starts_seal_with_one_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both look for a key before either has made one."""
    settings = SealSettings(data_dir=tmp_path)
    file = own_key_file(settings)
    assert file is not None
    exists = Path.exists

    def not_yet(path: Path) -> bool:
        monkeypatch.setattr(Path, "exists", exists)
        create_key(path)
        return False

    monkeypatch.setattr(Path, "exists", not_yet)
    assert key_to_seal_with(settings) == str(file)


def test_what_is_no_key(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    other = X25519PrivateKey.generate()
    private = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for text in ("-----BEGIN nothing", private, public_pem(KEY.public_key)):
        with pytest.raises(KeyUnusable) as caught:
            read_key(text)
        assert text not in str(caught.value)
    for text in ("-----BEGIN nothing", public.decode()):
        with pytest.raises(KeyUnusable):
            read_public_key(text)
    with pytest.raises(KeyUnusable, match="cannot be read"):
        read_key(str(tmp_path / "none.pem"))
