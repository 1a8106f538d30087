"""What the room sends over the network and with which key: addresses, keys, time-outs, retries."""

from __future__ import annotations

import base64
import hashlib
import importlib
import importlib.util
import ipaddress
import os
import random
import re
import socket
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from worldline.errors import InputError
from worldline.room.providers.hidden_keys import folded, hide
from worldline.tokens.sanitize import one_line

KEY = "WORLDLINE_ROOM_KEY"
KEYRING = "worldline"
ADDRESS = "(address)"  # what is shown of an address
WEB_ADDRESS = re.compile(
    r"""(?i)\b[a-z][a-z0-9+.-]*://[^\s"'<>)\]]*|(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?![\w.])"""
)
SHORTEST_SECRET = 8  # characters
LONGEST_REASON = 200
LONGEST_SEARCHED = 10_000  # characters of which an error shows some
SIGNS = {".": "_", "-": "__", "_": "___"}  # a host's signs in the name of its variable
HOST = re.compile(r"[a-z0-9]+(?:(?:\.|--?|_)[a-z0-9]+)*")
IPV4 = re.compile(r"\d+(\.\d+){3}")
URL_SAFE = str.maketrans("+/", "-_")  # the other alphabet of base64
RETRIED = frozenset((408, 429, 500, 502, 503, 504, 529))


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds, and how often to ask again.

    `connect` for a connection, `first` for the first piece of a reply, `between` for each further
    one, `total` for the whole, all tries and waits together. `tries` includes the first; waits
    double from `wait`, each drawn from its half to its whole, up to `longest_wait`.
    """

    connect: float = 10.0
    first: float = 120.0
    between: float = 60.0
    total: float = 600.0
    tries: int = 4
    wait: float = 0.5
    longest_wait: float = 30.0

    def before_try(self, n_failures: int, chance: random.Random) -> float:
        """Seconds to wait after so many failures, where the server does not say."""
        return min(self.longest_wait, self.wait * 2 ** (n_failures - 1)) * chance.uniform(0.5, 1.0)


def http() -> Any:
    """The HTTP client library.

    Raises InputError where it is not installed.
    """
    if importlib.util.find_spec("httpx2") is None:
        raise InputError('httpx2 is not installed; pip install "worldline[room]" brings it')
    return importlib.import_module("httpx2")


def base_url(address: str, bare: str = "/v1") -> str:
    """An address as it is called: http or https, no name or password in it; `bare` without a path.

    Raises InputError for any other.

    >>> base_url("http://localhost:11434")
    'http://localhost:11434/v1'
    """
    try:
        parts = urlsplit(address.strip())
        port = parts.port
    except ValueError:
        raise InputError("address: accepted are http://HOST or https://HOST, with :PORT") from None
    if parts.username is not None or parts.password is not None:
        raise InputError(f"address of {parts.hostname}: no name or password in it; set {KEY}")
    if parts.query or parts.fragment:
        raise InputError(f"address of {parts.hostname}: accepted are addresses without ? and #")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(f"address {address!r}: accepted are http://HOST or https://HOST")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
    return place + (parts.path.rstrip("/") or bare)


def this_machine(host: str) -> bool:
    """Whether connecting to a host reaches this machine, however its address is spelled.

    >>> [this_machine(one) for one in ("[::1]", "a.localhost", "2130706433", "example.org")]
    [True, True, True, False]
    """
    name = unicodedata.normalize("NFKC", host).replace("。", ".").strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        if not re.fullmatch(r"[0-9a-fx.]+", name):
            return False
        try:
            address = ipaddress.ip_address(socket.inet_aton(name))
        except (OSError, ValueError):
            return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def key_names(url: str) -> tuple[str, ...]:
    """The environment variables that may hold the key of one host alone, the closest first.

    The host in capitals, with _ for a dot, __ for a hyphen and ___ for an underscore, so that no
    two hosts share a variable; with the port behind it where the address has one.

    >>> key_names("https://my-host.org:8000/v1")
    ('WORLDLINE_ROOM_KEY_MY__HOST_ORG_8000', 'WORLDLINE_ROOM_KEY_MY__HOST_ORG')
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if ":" in host:
        host = ipaddress.ip_address(host.partition("%")[0]).exploded.replace(":", ".")
    elif not HOST.fullmatch(host) or (re.search(r"(^|\.)\d+$", host) and not IPV4.fullmatch(host)):
        return ()  # a number at its end would read as a port
    name = f"{KEY}_" + "".join(SIGNS.get(char, char.upper()) for char in host)
    return (f"{name}_{parts.port}", name) if parts.port else (name,)


def key_of(url: str) -> str | None:
    """The key for an address: the host's variable, the general one, or keyring's; None for none.

    Asked for at each request and kept nowhere. The general one is for one host: whichever it was
    sent to first in this process.

    Raises: InputError where it would go over the network unencrypted, to a second host, or could
    not be sent.
    """
    host_key = next((value for name in key_names(url) if (value := os.environ.get(name))), "")
    general = "" if host_key else os.environ.get(KEY, "")
    key = host_key or general or _from_keyring(url)
    if not key:
        _refuse_mistaken(url)
        return None
    parts = urlsplit(url)
    if parts.scheme == "http" and not this_machine(parts.hostname or ""):
        raise InputError(
            f"address of {parts.hostname}: a key is set, and http would send it readable by all; "
            "accepted are https, or http on this machine"
        )
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(f"the key for {parts.hostname}: it has characters that no key has")
    if general:
        _refuse_second(url, key)
    return key


def _refuse_mistaken(url: str) -> None:
    """Raise InputError where the key meant for a host is most likely in another's variable."""
    names = key_names(url)
    mistaken_name = f"{KEY}_" + re.sub(r"[^A-Z0-9]", "_", (urlsplit(url).hostname or "").upper())
    if names and mistaken_name not in names and os.environ.get(mistaken_name):
        host = urlsplit(url).hostname
        raise InputError(
            f"{mistaken_name} names a host with dots alone; the key of {host} is {names[-1]}"
        )


_sent_to: dict[bytes, str] = {}  # by the hash of a general key, the host that has it


def _refuse_second(url: str, key: str) -> None:
    """Raise InputError where the general key went to another host."""
    host = _place(url)
    first = _sent_to.setdefault(hashlib.sha256(key.encode()).digest(), host)
    if first != host:
        raise InputError(_shared(first, url))


def refuse_shared(urls: Iterable[str]) -> None:
    """Raise InputError where the general key would be asked for by two hosts."""
    if not os.environ.get(KEY):
        return
    keyless = [url for url in urls if not any(os.environ.get(name) for name in key_names(url))]
    places = {_place(url): url for url in keyless}
    if len(places) > 1:
        first, second = list(places.items())[:2]
        raise InputError(_shared(first[0], second[1]))


def _place(url: str) -> str:
    host = urlsplit(url).hostname or ""
    return "this machine" if this_machine(host) else host


def _shared(first: str, url: str) -> str:
    names = key_names(url)
    instead = f"set {names[-1]} for its own" if names else "keep its key in keyring"
    return f"{KEY} is for one host, {first}; for {_place(url)} {instead}"


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


def secrets_of(url: str = "") -> tuple[str, ...]:
    """Every key that is set, as it is and in base64, as `hide` compares them, the longest first.

    This is what no foreign text may bring into the room. What cannot be told from a word is no
    secret: under 8 characters ("ollama"), or, for this machine, without a digit
    ("sk-no-key-required").
    """
    on_this_machine = bool(url) and this_machine(urlsplit(url).hostname or "")
    names = {KEY, *key_names(url)} | {
        variable for variable in os.environ if variable.startswith(f"{KEY}_")
    }
    keys = {os.environ.get(name, "").strip() for name in names}
    keys.add((_from_keyring(url) or "").strip() if url else "")
    long = (key for key in keys if len(key) >= SHORTEST_SECRET)
    secret = (key for key in long if not on_this_machine or any(map(str.isdigit, key)))
    forms = {folded(form) for key in secret for form in _forms(key)}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _forms(key: str) -> Iterator[str]:
    """A key as it is, and in base64 behind other bytes.

    Of base64 what holds bits of the key alone, wherever it begins in a group of three bytes.
    """
    yield key
    for n_before in range(3):
        coded = base64.b64encode(b"\0" * n_before + key.encode())
        alone = coded.decode()[-(-8 * n_before // 6) : 8 * (n_before + len(key.encode())) // 6]
        yield alone
        yield alone.translate(URL_SAFE)


def keyless(text: str, url: str = "") -> str:
    """Foreign text without the keys that are set; of a very long one the beginning."""
    return hide(text[:LONGEST_SEARCHED], secrets_of(url))[0]


def addressless(text: str, url: str = "") -> str:
    """Text without addresses: none of the web, and not the one that was asked, however it is named.

    What is said of a failure goes into the log, into files and to every participant.

    >>> addressless("MY-HOST.org:80 is down, see http://10.0.0.1/x", "http://my-host.org/v1")
    '(address) is down, see (address)'
    """
    text, parts = WEB_ADDRESS.sub(ADDRESS, text), urlsplit(url)
    names = (*key_names(url), parts.hostname, parts.path.rstrip("/"), *_sent_to.values())
    for name in filter(None, names):
        text = re.sub(rf"(?i)(?<![\w.-]){re.escape(name)}(:\d+)?(?![\w-]|\.\w)", ADDRESS, text)
    return text


def plain(text: object, url: str = "") -> str:
    """Foreign text for an error: `one_line`, without addresses and keys that its author has."""
    return one_line(addressless(keyless(str(text), url), url), LONGEST_REASON)


def retry_after(headers: Mapping[str, str], current_time: float | None = None) -> float | None:
    """Seconds that a server asks to wait, given as a number or a date; None where it does not.

    >>> retry_after({"retry-after": "2"})
    2.0
    """
    header = headers.get("retry-after", "").strip()
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(header).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, at - (time.time() if current_time is None else current_time))


Sleep = Callable[[float], None]
