"""Finds out in seconds whether a model on the hub can be had: online, from the cache, or not."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

from worldline.errors import InputError, first_line
from worldline.models.quiet_logging import Progress, say

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_REQUEST_SECONDS = 3.0
_DEADLINE_SECONDS = 5.0


def settle_hub(name: str, progress: Progress | None = None) -> bool:
    """Whether only this machine's hub cache may be used for ``name`` (True) or the hub (False).

    One request with a short timeout, and a deadline that covers name resolution, which no timeout
    does. Without it transformers retries for 20 seconds and more.

    Raises: InputError if the hub cannot be reached and the model is not in the hub's cache, or the
    hub has no such model or does not give it out.
    """
    from huggingface_hub import constants, errors, try_to_load_from_cache
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
        possible = _HUB_ID.fullmatch(name) is not None
    except errors.HFValidationError:
        possible = False
    if not possible:
        raise InputError(
            f'model "{name[:80]}": neither a local folder, a .gguf file nor a hub id like '
            '"owner/name"'
        )
    is_cached = isinstance(try_to_load_from_cache(name, "config.json"), str)
    if constants.is_offline_mode():
        error: Exception | None = InputError("offline mode is set by HF_HUB_OFFLINE")
    else:
        say(progress, f"asking the hub for {name}")
        error = _ask(name)
    if error is None:
        return False
    if is_cached:
        say(progress, f"the hub cannot be reached; using {name} as it was last downloaded")
        return True
    raise InputError(f'model "{name}": {_why(error)}')


def cached_folder(name: str) -> Path | None:
    """Where this machine's hub cache has the files of a model; nobody is asked."""
    from huggingface_hub import try_to_load_from_cache

    if not _HUB_ID.fullmatch(name):
        return None
    try:
        file = try_to_load_from_cache(name, "config.json")
    except ValueError:  # of names that no repository can have
        return None
    return Path(file).parent if isinstance(file, str) else None


def _ask(name: str) -> Exception | None:
    """One HEAD request for the model's configuration; what went wrong, or None."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    outcome: list[Exception | None] = []

    def ask() -> None:
        try:
            get_hf_file_metadata(hf_hub_url(name, "config.json"), timeout=_REQUEST_SECONDS)
            outcome.append(None)
        except Exception as error:
            outcome.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_DEADLINE_SECONDS)
    return outcome[0] if outcome else TimeoutError(f"no answer in {_DEADLINE_SECONDS:.0f} s")


def _why(error: Exception) -> str:
    from huggingface_hub import errors

    reasons: list[tuple[Any, str]] = [
        (errors.GatedRepoError, "the hub gives it only to who is logged in and was granted access"),
        (errors.RepositoryNotFoundError, "not a local folder, and the hub has no such model"),
        (errors.EntryNotFoundError, "on the hub, but without a config.json"),
    ]
    for kind, reason in reasons:
        if isinstance(error, kind):
            return reason
    return f"not a local folder, and the hub cannot be reached ({first_line(error, 120)})"
