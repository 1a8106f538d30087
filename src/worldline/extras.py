"""Names the extra that a missing package belongs to: the core install does without most."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires

from worldline.errors import InputError

REQUIREMENT = re.compile(r"""([A-Za-z0-9_.-]+).*;.*extra\s*==\s*["']([A-Za-z0-9_-]+)""")


class MissingPackageError(ModuleNotFoundError, InputError):
    """A package that only an extra brings is not installed: which, and how to install it."""


@contextmanager
def naming_extra() -> Iterator[None]:
    """Say which extra is missing where an import inside fails for want of one."""
    try:
        yield
    except MissingPackageError:
        raise
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = extra_of(package)
        if extra is None:
            raise
        raise MissingPackageError(
            f'{package} is not installed; pip install "worldline[{extra}]" brings it',
            name=error.name,
        ) from None


def extra_of(package: str) -> str | None:
    """The first extra of this distribution that asks for a package; None if none does.

    >>> extra_of("torch"), extra_of("numpy")
    ('models', None)
    """
    try:
        requirement_lines = requires("worldline") or ()
    except PackageNotFoundError:
        return None
    matches = (match for line in requirement_lines if (match := REQUIREMENT.match(line)))
    return next((match[2] for match in matches if match[1].lower() == package.lower()), None)
