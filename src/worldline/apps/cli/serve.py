"""``worldline serve``: the page over a model that stays loaded."""

from __future__ import annotations

import secrets
import shutil
import socket
import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worldline.apps.cli import options
from worldline.apps.cli.progress import elapsed_line
from worldline.apps.cli.streams import console
from worldline.apps.cli.torch_threads import set_threads
from worldline.errors import InputError

if TYPE_CHECKING:
    from worldline import LoadedModel
    from worldline.room import Desk
    from worldline.service.worker import Worker

EXAMPLE = "The capital of France is"
PORT = 8765
TRIED_PORTS = 20
FIRST = "the-server-itself"


def serve(
    text: Annotated[str, typer.Argument(help="The text that the page opens on.")] = EXAMPLE,
    host: Annotated[
        str, typer.Option(help="Where to listen; beyond loopback a token is asked.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help=f"The port (default: the first free one from {PORT} on)."
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="A further name under which the page is reached, through a port forward or a "
            "proxy; a token is asked then. May be repeated."
        ),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    model: options.Model = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
) -> None:
    """Show the page: any text, any target, cuts, hop budgets, light cones, orders, live."""
    try:
        import fastapi  # noqa: F401
        import uvicorn
    except ModuleNotFoundError as error:
        raise InputError(f'{error.name} is not installed: pip install "worldline[serve]"') from None
    from worldline.apps.server.access import host_named, loopback

    forwarded_hosts = frozenset(map(host_named, allow_host or ()))
    options.refuse_unknown(device=device, dtype=dtype)
    listening = _listening(host, port)  # before anything that takes its time
    from worldline import load_model
    from worldline.apps.server.app import make_app
    from worldline.claims import picture_source
    from worldline.models import cache_root
    from worldline.service.answers import Answering
    from worldline.service.model_turns import in_turn
    from worldline.service.questions import TraceQuestion
    from worldline.service.worker import Worker, own_folder

    folder = own_folder(cache_root() / "serve")
    set_threads(threads)
    with elapsed_line(console(stderr=True)) as say:
        loaded_model = load_model(model, device=device, dtype=dtype, progress=say)
    worker = Worker(in_turn(Answering(loaded_model, folder), loaded_model.module))
    worker.submit(FIRST, TraceQuestion(text=text, paths=False))  # recorded before it is asked for
    token = None if loopback(host) and not forwarded_hosts else secrets.token_urlsafe(24)
    about = {"model": loaded_model.name, "example": text, "version": _version()}
    desk = _desk(loaded_model)
    app = make_app(
        worker, about, hosts=_names(host), forwarded_hosts=forwarded_hosts,
        token=token, claims=picture_source(loaded_model), desk=desk,
    )  # fmt: skip
    address = _address(host, listening.getsockname()[1], token)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=2, lifespan="off",
        ws="none",
    )  # fmt: skip
    server = uvicorn.Server(config)
    _told_of_the_end(server, worker, desk)
    typer.echo(f"worldline is at {address}")
    for name in sorted(forwarded_hosts):
        typer.echo(f"and wherever {name} leads to it, with #token={token} behind the address")
    sys.stdout.flush()
    typer.echo("Ctrl+C ends it", err=True)
    if browser:
        _open_when_ready(server, address)
    try:
        server.run(sockets=[listening])
    finally:
        desk.close()
        worker.close()
        shutil.rmtree(folder, ignore_errors=True)


def _listening(host: str, port: int | None) -> socket.socket:
    """A socket that listens; InputError where none can be had."""
    if not host:
        raise InputError("--host: it is empty; accepted are an address or a name of this machine")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    ports = [port] if port is not None else [*range(PORT, PORT + TRIED_PORTS), 0]
    why: OSError | None = None
    for port_number in ports:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port_number))
            listener.listen(128)
        except (OSError, OverflowError) as error:
            listener.close()
            why = error if isinstance(error, OSError) else OSError(str(error))
        else:
            return listener
    reason = why.strerror or why if why else "no port was tried"
    raise InputError(
        f"--host {host}{'' if port is None else f' --port {port}'}: cannot listen there "
        f"({reason}); "
        "accepted are an address of this machine and a free port, 0 for any"
    )


def _desk(model: LoadedModel) -> Desk:
    """Where the page opens rooms: personas on the model that is served, and on the bundled one."""
    from worldline.models import BUNDLED_NAME, exclusive
    from worldline.room import desk_on

    return desk_on(model, model.name == BUNDLED_NAME, partial(exclusive, model.module))


def _told_of_the_end(server: Any, worker: Worker, desk: Desk) -> None:
    """Open streams of events end with the server, which would wait for them otherwise."""
    ends = server.handle_exit

    def ending(sig: int, frame: Any) -> None:
        worker.closing = desk.closing = True
        ends(sig, frame)

    server.handle_exit = ending


def _names(host: str) -> frozenset[str]:
    """The names by which the page may be addressed."""
    bare = f"[{host}]" if ":" in host else host
    own_names = {"localhost", "127.0.0.1", "[::1]"}
    if host in ("0.0.0.0", "::"):
        own_names |= {socket.gethostname().lower(), *_addresses()}
    return frozenset(own_names | {bare.lower()})


def _addresses() -> set[str]:
    """The addresses under which this machine is known to itself."""
    try:
        address_infos = socket.getaddrinfo(socket.gethostname(), None)
    except OSError:
        return set()
    return {
        f"[{info[4][0]}]" if info[0] == socket.AF_INET6 else str(info[4][0])
        for info in address_infos
    }


def _address(host: str, port: int, token: str | None) -> str:
    shown_host = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host
    return f"http://{shown_host}:{port}/" + ("" if token is None else f"#token={token}")


def _open_when_ready(server: Any, address: str) -> None:
    import threading
    import time
    import webbrowser

    def wait() -> None:
        while not server.started:
            if server.should_exit:
                return
            time.sleep(0.05)
        webbrowser.open(address)

    threading.Thread(target=wait, daemon=True).start()


def _version() -> str:
    from importlib.metadata import version

    return version("worldline")
