"""The HTTP client for one address: which proxy, which certificates; this machine without either."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from worldline.errors import InputError
from worldline.room.providers.transport import http, this_machine


def client_for(url: str, timeout: Any, direct: bool = False) -> Any:
    """A client that follows no redirect, and asks this machine without any proxy.

    For other hosts HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY hold, unless it is to be
    `direct`, and SSL_CERT_FILE.

    Raises: InputError for a proxy or certificates that cannot be used.
    """
    library = http()
    parts = urlsplit(url)
    direct = direct or this_machine(parts.hostname or "")
    # without TLS, to the host or to a proxy, there is nothing to verify, and much to load
    tls = parts.scheme == "https" or (
        not direct and any(proxy.startswith("https://") for proxy in getproxies().values())
    )
    verify = _certificates(library) if tls else False
    try:
        return library.Client(
            timeout=timeout, follow_redirects=False, verify=verify, trust_env=not direct
        )
    except ImportError:
        wrong = 'a SOCKS proxy is set; pip install "worldline[socks]" brings what it needs'
    except (ValueError, library.InvalidURL):
        wrong = f"{_proxies()}: accepted are http://HOST:PORT, https://… and socks5://…"
    except OSError:  # what a proxy's own TLS would load
        wrong = f"{_proxies()}: its certificates cannot be read; see SSL_CERT_FILE"
    raise InputError(wrong)


def _certificates(library: Any) -> ssl.SSLContext:
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file and not Path(file).is_file():
        raise InputError(f"SSL_CERT_FILE {file}: no such file; accepted is a PEM file")
    if folder and not file and not Path(folder).is_dir():
        raise InputError(f"SSL_CERT_DIR {folder}: no such folder; accepted is one of PEM files")
    try:
        return library.create_ssl_context()
    except (OSError, ssl.SSLError) as error:
        why = error.strerror or type(error).__name__
    raise InputError(f"SSL_CERT_FILE {file or folder}: no certificates could be read there ({why})")


def _proxies() -> str:
    """The variables that name a proxy, without what stands in them: it may hold a password."""
    names = [
        f"{scheme.upper()}_PROXY" for scheme in getproxies() if scheme in ("http", "https", "all")
    ]
    return " or ".join(names) or "the proxy"
