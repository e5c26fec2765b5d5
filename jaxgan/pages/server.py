"""The server of a generator's local page, and the loop that runs it until a signal ends it."""

import io
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxgan import pictures
from jaxgan.core.units import Units
from jaxgan.pages import guard, place
from jaxgan.system import files
from jaxgan.system.messages import FieldError
from jaxgan.training.sampler import drawable
from jaxgan.weights.portable import Sampler, Samples

_FILES = {"explore.js": "text/javascript", "explore.css": "text/css", "page.css": "text/css"}
_LARGEST = 20_000_000  # bytes of a picture that is dropped
_TRIED = 100  # ports after one that is in use


class Found(NamedTuple):
    """The latents of a picture that was given."""

    z: NDArray[np.float32]  # [D]
    label: int | None  # the number that its class is asked for by
    words: str  # how near it comes


class Explored(NamedTuple):
    """A generator to explore."""

    name: str
    sampler: Sampler
    directions: Mapping[str, NDArray[np.float32]]  # latents [D]
    invert: Callable[[bytes, int | None], Found] | None = None  # (file of a picture, class) -> latents


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
        raise FieldError("host", repr(host), f"it cannot be listened at: {files.told(error)}") from error
    try:
        return _listening(family, kind, number, address)
    except PermissionError as error:
        raise FieldError("port", port, "this user may not listen there; take one from 1,024 on") from error
    except OSError as error:
        free = _next_free(family, kind, number, address)
        if free is None:
            raise FieldError("host", repr(host), f"it cannot be listened at: {files.told(error)}") from error
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


def picture(samples: Samples) -> bytes:
    """Returns samples as PNG: one picture pixel by pixel, several in a grid, anything else as its documented view."""
    units = None if samples.about.units is None else Units(*samples.about.units)
    if len(samples) > 1 or not pictures.are_pictures(samples.about.shape, units) or samples.condition is not None:
        assert samples.draw is not None
        return samples.draw(samples)
    return pictures.to_png(pictures.grid(drawable(samples)[0], scale=1, padding=0))


def application(explored: Explored, host: str) -> Any:
    """Returns the page of a generator as an ASGI application; requests are served one at a time.

    Args:
        explored: the generator.
        host: that the page listens at, by which it may be called.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route

    sampler, directions, lock = explored.sampler, explored.directions, threading.Lock()

    def told(error: Exception) -> Response:
        return PlainTextResponse(f"{files.told(error)}\n", 400)

    def at(request: Request) -> tuple[Samples, np.ndarray]:
        found = place.parse(request.query_params.multi_items(), sampler, directions)
        with lock:
            return place.samples_at(found, sampler, directions)

    def page(_: Request) -> Response:
        return Response(files.read(Path(__file__).with_name("explore.html")), media_type="text/html; charset=utf-8")

    def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _FILES:
            return PlainTextResponse(f"{name[:80]}: there is no such page\n", 404)
        return Response(files.read(Path(__file__).with_name(name)), media_type=f"{_FILES[name]}; charset=utf-8")

    def about(_: Request) -> Response:
        return JSONResponse(_about(explored))

    def drawn(request: Request) -> Response:
        try:
            return Response(picture(at(request)[0]), media_type="image/png")
        except ValueError as error:
            return told(error)

    def latents(request: Request) -> Response:
        try:
            samples, z = at(request)
        except ValueError as error:
            return told(error)
        content = io.BytesIO()
        np.savez(content, z=z, labels=samples.labels)
        return Response(content.getvalue(), media_type="application/octet-stream")

    async def invert(request: Request) -> Response:
        if explored.invert is None:
            return PlainTextResponse("invert: this generator cannot be inverted here\n", 404)
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > _LARGEST:
                return PlainTextResponse(f"picture: more than {_LARGEST:,} bytes\n", 400)
        try:
            wanted = place.parse(request.query_params.multi_items(), sampler, directions)
            found = await run_in_threadpool(inverted, bytes(content), wanted.labels[0] if wanted.labels else None)
        except ValueError as error:
            return told(error)
        return JSONResponse({"z": place.as_text(found.z), "label": found.label, "words": found.words})

    def inverted(content: bytes, label: int | None) -> Found:
        assert explored.invert is not None
        with lock:
            return explored.invert(content, label)

    routes = [
        Route("/", page),
        Route("/about", about),
        Route("/picture.png", drawn),
        Route("/latents.npz", latents),
        Route("/invert", invert, methods=["POST"]),
        Route("/{name}", file),
    ]
    return guard.Guard(Starlette(routes=routes), guard.names(host))


def _about(explored: Explored) -> dict[str, Any]:
    about = explored.sampler.about
    units = None if about.units is None else Units(*about.units)
    names = about.class_names or tuple(map(str, about.numbers))
    return {
        "name": explored.name,
        "shape": list(about.shape),
        "latent_dim": about.latent_dim,
        "classes": [[number, name] for number, name in zip(about.numbers, names, strict=True)],
        "pictures": len(about.shape) == 3 and pictures.are_pictures(about.shape, units) and about.condition is None,
        "vectors": len(about.shape) == 1,
        "n": place.usual(about),
        "mixes": place.mixes(about),
        "mapped": about.mapped,
        "directions": list(explored.directions),
        "inverts": explored.invert is not None,
    }


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
