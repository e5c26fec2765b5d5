"""Answers of a generator's local page: pictures, latents, and the latents of a picture dropped onto it."""

import io
import json
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
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

Query = Sequence[tuple[str, str]]
_FILES = {
    "explore.html": "text/html",
    "explore.js": "text/javascript",
    "explore.css": "text/css",
    "page.css": "text/css",
}
_LARGEST = 20_000_000  # bytes of a picture that is dropped


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


class Answer(NamedTuple):
    """The content of an answer, independent of any server library."""

    content: bytes
    media_type: str = "text/plain; charset=utf-8"
    status: int = 200


def picture(samples: Samples) -> bytes:
    """Returns samples as PNG: one picture pixel by pixel, several in a grid, anything else as its documented view."""
    units = None if samples.about.units is None else Units(*samples.about.units)
    if len(samples) > 1 or not pictures.are_pictures(samples.about.shape, units) or samples.condition is not None:
        assert samples.draw is not None
        return samples.draw(samples)
    return pictures.to_png(pictures.grid(drawable(samples)[0], scale=1, padding=0))


class Answers:
    """Answers of a page about one generator: each method takes the query, as pairs, and raises ValueError to refuse it."""

    def __init__(self, explored: Explored) -> None:
        self.explored, self._lock = explored, threading.Lock()

    def file(self, query: Query, name: str = "explore.html") -> Answer:
        """Returns one of the page's files; the page itself where none is named."""
        if name not in _FILES:
            return Answer(f"{name[:80]}: there is no such page\n".encode(), status=404)
        _check_empty(query)
        return Answer(files.read(Path(__file__).with_name(name)), f"{_FILES[name]}; charset=utf-8")

    def about(self, query: Query) -> Answer:
        """Returns the entries of the page's controls."""
        _check_empty(query)
        return _json(_about(self.explored))

    def picture(self, query: Query) -> Answer:
        """Returns the picture of a place, as PNG."""
        return Answer(picture(self._samples(query)[0]), "image/png")

    def latents(self, query: Query) -> Answer:
        """Returns the latents and labels of a place, as `.npz`."""
        samples, z = self._samples(query)
        content = io.BytesIO()
        np.savez(content, z=z, labels=samples.labels)
        return Answer(content.getvalue(), "application/octet-stream")

    def invert(self, query: Query, content: bytes) -> Answer:
        """Returns the latents of a picture, for the first class that the query names."""
        if self.explored.invert is None:
            return Answer(b"invert: this generator cannot be inverted here\n", status=404)
        wanted = place.parse(query, self.explored.sampler, self.explored.directions)
        with self._lock:
            found = self.explored.invert(content, wanted.labels[0] if wanted.labels else None)
        return _json({"z": place.as_text(found.z), "label": found.label, "words": found.words})

    def _samples(self, query: Query) -> tuple[Samples, np.ndarray]:
        wanted = place.parse(query, self.explored.sampler, self.explored.directions)
        with self._lock:
            return place.samples_at(wanted, self.explored.sampler, self.explored.directions)


def _about(explored: Explored) -> dict[str, Any]:
    """Returns the entries of the page's controls, for JSON."""
    about = explored.sampler.about
    units = None if about.units is None else Units(*about.units)
    names = about.class_names or tuple(map(str, about.numbers))
    return {
        "name": explored.name,
        "fields": place.NAMES,
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


def _json(content: Mapping[str, Any]) -> Answer:
    return Answer(json.dumps(content).encode(), "application/json")


def _check_empty(query: Query) -> None:
    """Refuses fields of a query that takes none: the page's own stand after #, which a browser does not send."""
    if query:
        raise FieldError(query[0][0][:80], "no such field", "no field may follow ?; the page's own follow #", link="; ")


def application(explored: Explored, host: str) -> Any:
    """Returns the page of a generator as an ASGI application; requests are served one at a time.

    Args:
        explored: the generator.
        host: that the page listens at, by which it may be called.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    answers = Answers(explored)
    routes = [
        Route("/", _endpoint(answers.file)),
        Route("/about", _endpoint(answers.about)),
        Route("/picture.png", _endpoint(answers.picture)),
        Route("/latents.npz", _endpoint(answers.latents)),
        Route("/invert", _endpoint(answers.invert, takes="content"), methods=["POST"]),
        Route("/{name}", _endpoint(answers.file)),
    ]
    return guard.Guard(Starlette(routes=routes), guard.names(host))


def _endpoint(answer: Callable[..., Answer], takes: str = "") -> Callable[[Any], Awaitable[Any]]:
    """Returns a function of a request that answers in its own thread; a refusal is one line, with status 400.

    Args:
        answer: a method of `Answers`.
        takes: name of the argument that is the request's body, where there is one.
    """
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import Response

    async def endpoint(request: Any) -> Any:
        query, parts = request.query_params.multi_items(), dict(request.path_params)
        try:
            if takes:
                parts[takes] = await _body(request)
            found = await run_in_threadpool(answer, query, **parts)
        except ValueError as error:
            found = Answer(f"{files.told(error)}\n".encode(), status=400)
        return Response(found.content, found.status, media_type=found.media_type)

    return endpoint


async def _body(request: Any) -> bytes:
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > _LARGEST:
            raise FieldError("picture", f"more than {_LARGEST:,} bytes", "", link="")
    return bytes(content)
