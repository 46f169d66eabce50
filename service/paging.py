"""Opaque page tokens: where the next page begins, bound to the query they came from."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from roadtwin.errors import PageTokenError

T = TypeVar("T", bound=msgspec.Struct)


def _digest(query: Mapping[str, object]) -> bytes:
    return hashlib.sha256(repr(sorted(query.items())).encode()).digest()[:6]


def encode_token(position: msgspec.Struct, query: Mapping[str, object]) -> str:
    """A token for `position` in the answer to `query`."""
    return base64.urlsafe_b64encode(_digest(query) + msgspec.json.encode(position)).decode().rstrip("=")


def decode_token(token: str, kind: type[T], query: Mapping[str, object]) -> T:
    """The position that a token stands for.

    Raises PageTokenError when it is not one of ours, or when it belongs to another query.
    """
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        if raw[:6] != _digest(query):
            raise PageTokenError
        return msgspec.json.decode(raw[6:], type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as exc:
        raise PageTokenError from exc
