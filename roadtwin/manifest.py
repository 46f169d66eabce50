"""Manifests: what a publisher says it published, as an independent witness of what must be in the database."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from roadtwin.errors import InputFileError


class _ManifestFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    manifest_version: Literal[1]
    count: int
    sha256: str
    payload_sha256: list[str]


@dataclass(frozen=True, slots=True)
class Manifest:
    """SHA-256 of every payload, in the order in which they were acknowledged by the broker's client; repeats stay."""

    payload_sha256: tuple[bytes, ...]

    @property
    def sha256(self) -> str:
        """SHA-256 over the digests, hexadecimal: two manifests with the same one name the same payloads."""
        return hashlib.sha256(b"".join(self.payload_sha256)).hexdigest()


def manifest_of(payloads: Sequence[bytes]) -> Manifest:
    """The manifest of these payloads."""
    return Manifest(tuple(hashlib.sha256(payload).digest() for payload in payloads))


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest as JSON.

    Raises InputFileError when the file cannot be written.
    """
    file = _ManifestFile(1, len(manifest.payload_sha256), manifest.sha256, [d.hex() for d in manifest.payload_sha256])
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(file), indent=1))
    except OSError as exc:
        raise InputFileError(f"{path}: cannot be written: {exc.strerror}.") from None


def read_manifest(path: Path) -> Manifest:
    """Read a manifest and check it against its own count and hash.

    Raises InputFileError.
    """
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_ManifestFile)
        manifest = Manifest(tuple(bytes.fromhex(digest) for digest in file.payload_sha256))
    except OSError as exc:
        raise InputFileError(f"{path}: cannot be read: {exc.strerror}.") from None
    except (msgspec.DecodeError, ValueError) as exc:
        raise InputFileError(f"{path}: no manifest: {exc}.") from None
    if file.count != len(manifest.payload_sha256) or file.sha256 != manifest.sha256:
        raise InputFileError(f"{path}: its count or hash does not fit its list: the file is cut or was altered.")
    return manifest
