"""What the room sends over the network and with which key: addresses, keys, time-outs, retries."""

from __future__ import annotations

import importlib
import importlib.util
import os
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from worldline.errors import InputError

KEY = "WORLDLINE_ROOM_KEY"
KEYRING = "worldline"
LONGEST_REASON = 200
LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1")
RETRIED = frozenset((408, 429, 500, 502, 503, 504, 529))


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds, and how often to ask again.

    `connect` for a connection, `first` for the first piece of a reply, `between` for each further
    one, `total` for the whole. `tries` includes the first; waits double from `wait`, each drawn
    from its half to its whole, up to `longest_wait`.
    """

    connect: float = 10.0
    first: float = 120.0
    between: float = 60.0
    total: float = 600.0
    tries: int = 4
    wait: float = 0.5
    longest_wait: float = 30.0

    def before_try(self, failed: int, chance: random.Random) -> float:
        """Seconds to wait after so many failures, where the server does not say."""
        return min(self.longest_wait, self.wait * 2 ** (failed - 1)) * chance.uniform(0.5, 1.0)


def http() -> Any:
    """The HTTP client library.

    Raises InputError where it is not installed.
    """
    if importlib.util.find_spec("httpx2") is None:
        raise InputError('httpx2 is not installed; pip install "worldline[room]" brings it')
    return importlib.import_module("httpx2")


def base_url(given: str, bare: str = "/v1") -> str:
    """An address as it is called: http or https, no name or password in it; `bare` without a path.

    Raises InputError for any other.

    >>> base_url("http://localhost:11434")
    'http://localhost:11434/v1'
    """
    try:
        parts = urlsplit(given.strip())
        port = parts.port
    except ValueError:
        raise InputError("address: accepted are http://HOST or https://HOST, with :PORT") from None
    if parts.username is not None or parts.password is not None:
        raise InputError(f"address of {parts.hostname}: no name or password in it; set {KEY}")
    if parts.query or parts.fragment:
        raise InputError(f"address of {parts.hostname}: accepted are addresses without ? and #")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(f"address {given!r}: accepted are http://HOST or https://HOST")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
    return place + (parts.path.rstrip("/") or bare)


def key_name(url: str) -> str:
    """The environment variable that holds the key of one host alone.

    >>> key_name("https://openrouter.ai/api/v1")
    'WORLDLINE_ROOM_KEY_OPENROUTER_AI'
    """
    host = urlsplit(url).hostname or ""
    return f"{KEY}_{re.sub(r'[^A-Z0-9]', '_', host.upper())}"


def key_of(url: str) -> str | None:
    """The key for an address: the host's variable, the general one, or keyring's; None for none.

    Asked for at each request and kept nowhere.

    Raises: InputError where it would go over the network unencrypted, or could not be sent.
    """
    key = os.environ.get(key_name(url)) or os.environ.get(KEY) or _from_keyring(url)
    if not key:
        return None
    parts = urlsplit(url)
    if parts.scheme == "http" and not LOOPBACK.fullmatch(parts.hostname or ""):
        raise InputError(
            f"address of {parts.hostname}: a key is set, and http would send it readable by all; "
            "accepted are https, or http on this machine"
        )
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(f"the key for {parts.hostname}: it has characters that no key has")
    return key


def _from_keyring(url: str) -> str | None:
    if importlib.util.find_spec("keyring") is None:
        return None
    try:
        return importlib.import_module("keyring").get_password(KEYRING, urlsplit(url).hostname)
    except Exception:  # a keyring without a backend, or locked: as if there were none
        return None


def headers_for(url: str) -> dict[str, str]:
    """What every request carries."""
    key = key_of(url)
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def plain(text: object, url: str = "") -> str:
    """Foreign text for an error: one line, short, control characters visible, no key in it."""
    shown = str(text)
    for name in (KEY, key_name(url)):
        if key := os.environ.get(name, "").strip():
            shown = shown.replace(key, "(key)")
    if url and (key := _from_keyring(url)):
        shown = shown.replace(key, "(key)")
    shown = " ".join(shown.split())
    shown = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in shown)
    return shown[:LONGEST_REASON] + ("…" if len(shown) > LONGEST_REASON else "")


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that a server asks to wait, given as a number or a date; None where it does not.

    >>> retry_after({"retry-after": "2"})
    2.0
    """
    given = headers.get("retry-after", "").strip()
    if not given:
        return None
    try:
        return max(0.0, float(given))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(given).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, at - (time.time() if now is None else now))


def may_wait(asked: float | None, patience: Patience) -> bool:
    """Whether the wait that a server asks for is one that the room makes."""
    return asked is None or asked <= patience.longest_wait


def wait_of(
    failed: int, asked_to_wait: float | None, patience: Patience, chance: random.Random
) -> float:
    """Seconds to wait: at least what the server asks for, with some chance in it."""
    drawn = patience.before_try(failed, chance)
    return drawn if asked_to_wait is None else asked_to_wait + drawn * 0.1


Sleep = Callable[[float], None]
