"""The server of a generator's local page, and the loop that runs it until a signal ends it."""

import os
import signal
import socket
import threading
from importlib.util import find_spec
from types import FrameType
from typing import Any

from jaxgan.pages import guard
from jaxgan.system import files
from jaxgan.system.messages import FieldError, shown

_TRIED = 100  # ports after one that is in use


def check_installed() -> None:
    """Refuses, where the libraries that serve a page are not there.

    Raises:
        FieldError: in one line.
    """
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        words = f"{' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not installed"
        raise FieldError("explore", words, "pip install 'jaxgan[explore]'", link=": ")


def bound(host: str, port: int) -> socket.socket:
    """Returns a listening socket, so that an address that is not available is reported before anything is loaded.

    Raises:
        FieldError: when the host is none of this machine, or the port is in use, with the next that is free.
    """
    if not 0 <= port < 65_536:
        raise FieldError("port", port, "it must be from 0 to 65,535; 0 takes any that is free")
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise FieldError("host", shown(host), f"it cannot be listened at: {files.told(error)}") from error
    try:
        return _listening(family, kind, number, address)
    except PermissionError as error:
        raise FieldError("port", port, "this user may not listen there; take one from 1,024 on") from error
    except OSError as error:
        free = _next_free(family, kind, number, address)
        if free is None:
            raise FieldError("host", shown(host), f"it cannot be listened at: {files.told(error)}") from error
        raise FieldError("port", port, f"it is in use; {free} is free: --port {free}") from error


def _listening(family: int, kind: int, number: int, address: Any) -> socket.socket:
    made = socket.socket(family, kind, number)
    try:
        if os.name == "posix":  # a port whose last connections are only just closed is free
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(64)
    except BaseException:
        made.close()
        raise
    return made


def _next_free(family: int, kind: int, number: int, address: Any) -> int | None:
    for port in range(address[1] + 1, min(address[1] + _TRIED, 65_536)):
        try:
            _listening(family, kind, number, (address[0], port, *address[2:])).close()
        except OSError:
            continue
        return port
    return None


def address_of(listening: socket.socket, host: str) -> str:
    """Returns the address of the page, as a browser takes it."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host
    return f"http://{guard.bracketed(shown)}:{listening.getsockname()[1]}/"


def serve(app: Any, listening: socket.socket) -> int:
    """Answers until SIGTERM, SIGHUP or Ctrl-C ends it; a second ends the process at once.

    Returns:
        The number of the signal.
    """
    import uvicorn

    came: list[int] = []

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, _: FrameType | None) -> None:
            if came:
                os._exit(128 + sig)
            came.append(sig)
            self.should_exit = True

    config = uvicorn.Config(
        app, log_level="error", access_log=False, lifespan="off", server_header=False, timeout_graceful_shutdown=2
    )
    server = Server(config)
    hangup = getattr(signal, "SIGHUP", None)
    watched = hangup is not None and threading.current_thread() is threading.main_thread()
    before = signal.getsignal(hangup) if watched and hangup is not None else None
    if hangup is not None and watched and before != signal.SIG_IGN:
        signal.signal(hangup, server.handle_exit)
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()
        if hangup is not None and watched and before != signal.SIG_IGN:
            signal.signal(hangup, signal.SIG_DFL if before is None else before)
    return came[0] if came else 0
