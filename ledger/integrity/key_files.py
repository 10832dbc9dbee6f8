"""Private keys in files and in the environment: PEM, PKCS #8, Ed25519, without a passphrase.

A file that we make is readable by its owner alone. Never prints or logs a key.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from ledger.integrity.keys import SealKey

FILE_NAME: Final = "seal-key.pem"  # in the data directory of an embedded PostgreSQL
OWNER_ONLY: Final = 0o600
_PEM: Final = "-----BEGIN"


class KeyUnusable(ValueError):
    """No Ed25519 key is there; the message says where, and what to do."""


class KeyExists(KeyUnusable):
    """The file of a key that was to be made is there."""


def read_key(source: str) -> SealKey:
    """The private key of a file, or of the PEM text itself. Raises KeyUnusable."""
    where = "DRAWDOWN_SEAL_KEY" if _PEM in source else source
    data = _text_of(source)
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise KeyUnusable(
            f"{where} holds no private key in PEM without a passphrase; "
            "`drawdown seal-key create FILE` makes one"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{where} holds a key of another kind: seals are made with Ed25519")
    return SealKey(key)


def read_public_key(source: str) -> bytes:
    """The raw public key (32 bytes) of a file or PEM text, which may be a private one."""
    where = "the PEM text" if _PEM in source else source
    data = _text_of(source)
    if b"PRIVATE KEY" in data:
        return read_key(source).public_key
    try:
        key = load_pem_public_key(data)
    except ValueError as error:
        raise KeyUnusable(f"{where} holds no public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable(f"{where} holds a key of another kind: seals are made with Ed25519")
    return key.public_bytes_raw()


def create_key(path: Path) -> SealKey:
    """Make a key in a new file, mode 0600. Raises KeyExists, KeyUnusable."""
    private = Ed25519PrivateKey.generate()
    write_key_file(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return SealKey(private)


def write_key_file(path: Path, pem: bytes) -> None:
    """A new file of mode 0600 with a private key. Raises KeyExists, KeyUnusable.

    The file is there whole or not at all, however this process ends, and after a power cut too.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            _write(partial, pem)
            os.link(partial, path)  # as rename, but never over a key
        finally:
            partial.unlink(missing_ok=True)
        _flush_directory(path.parent)
    except FileExistsError as error:
        raise KeyExists(f"{path} exists; a key is never overwritten") from error
    except OSError as error:
        raise KeyUnusable(f"{path} cannot be written: {error.strerror or error}") from error


def _write(path: Path, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as file:
        os.fchmod(file.fileno(), OWNER_ONLY)  # whatever the umask
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def public_pem(public_key: bytes) -> str:
    """A raw public key as PEM."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _text_of(source: str) -> bytes:
    if _PEM in source:
        return source.encode()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise KeyUnusable(f"the key file {source} cannot be read: {error.strerror}") from error
