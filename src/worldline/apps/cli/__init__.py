"""The command line: this file catches what goes wrong, even while the commands are imported."""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from worldline.doorway import doorway

MOST_CHARS = 1000  # of a line that says what was wrong, however long what was given is

if TYPE_CHECKING:
    from worldline.apps.cli.commands import app as app
else:
    __getattr__, __dir__, __all__ = doorway(__name__)


def main() -> None:
    """Run the command line; what the user gave wrong is one line and exit code 2.

    Stopped by Ctrl-C it ends with 130, whatever it was doing; where nobody reads on (`| head`)
    with 0 and without a word.
    """
    try:
        code = _run()
    except KeyboardInterrupt:
        _ignore_more()
        _print_error("stopped")
        code = 130
    sys.exit(code)


def _run() -> int:
    from worldline.apps.cli.streams import drop_output, prepare_streams

    prepare_streams()
    import typer

    from worldline.errors import InputError, RefusedError
    from worldline.extras import naming_extra

    misuse: Any = typer.BadParameter.__mro__[2]  # every refusal of the parser; typer brings its own
    try:
        _refuse_bytes()
        from worldline.apps.cli.commands import app
        from worldline.apps.cli.renamed_options import rename_options

        sys.argv[1:] = rename_options(sys.argv[1:])
        with naming_extra():
            return app(standalone_mode=False) or 0
    except (InputError, RefusedError) as error:
        return _print_error(str(error))
    except misuse as error:
        return _print_usage_error(error)
    except typer.Abort:
        return _print_error("nothing was done", 1)
    except BrokenPipeError:
        drop_output()
        return 0
    except SystemExit as stop:  # typer's, where nobody reads on
        if not isinstance(stop.__context__, BrokenPipeError):
            raise
        drop_output()
        return 0
    except OSError as error:  # standard output took no more; files are refused where written
        drop_output()
        return _print_error(f"cannot be written ({error.strerror or error})")


def _print_usage_error(error: Any) -> int:
    """What the parser refused; the help where nothing was asked."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return error.exit_code
    context = getattr(error, "ctx", None)
    names = getattr(getattr(error, "param", None), "opts", ())
    value = next((v for name, v in pairwise(sys.argv) if name in names), None)
    given_words = "" if value is None else f" (given: {value[:40]})"
    help_hint = f" (see {context.command_path} --help)" if context is not None else ""
    faults = getattr(error.__cause__, "errors", None)  # of the validator that read a value
    if faults is not None and names:
        from worldline.field_errors import fault_line

        return _print_error(fault_line(faults()[0], max(names, key=len)) + help_hint)
    return _print_error(error.format_message()[:300].rstrip(".") + given_words + help_hint)


def _refuse_bytes() -> None:
    """Raise InputError for an argument with bytes that are no text."""
    from worldline.errors import InputError

    for n, word in enumerate(sys.argv[1:], 1):
        try:
            word.encode()
        except UnicodeEncodeError as error:
            before = word[: error.start][-40:]
            raise InputError(
                f"argument {n}: not UTF-8 after {before!r}; accepted is text in UTF-8"
            ) from None


def _print_error(line: str, code: int = 2) -> int:
    text = " ".join(line.split())
    if len(text) > MOST_CHARS:
        text = f"{text[: MOST_CHARS - 1]}…"
    sys.stderr.write(f"worldline: {text}\n")
    sys.stderr.flush()
    return code


def _ignore_more() -> None:
    """A second Ctrl-C is not to interrupt the end."""
    import signal
    import threading

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
