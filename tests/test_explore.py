"""`jaxgan explore`: what its page answers, whom it refuses, and in a browser that a link restores what was seen."""

import asyncio
import concurrent.futures
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest
from PIL import Image
from test_cli import run as command
from test_report import EVIL, Parsed

import jaxgan
from jaxgan import cli
from jaxgan.commands.explore import directions
from jaxgan.commands.explore.inverting import inverter
from jaxgan.commands.sampler import load_sampler
from jaxgan.latent import kept
from jaxgan.pages import answers, guard, place, server
from jaxgan.system.messages import FieldError
from jaxgan.weights.portable import About, Sampler

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
ROOT = Path(__file__).parent.parent
HOST = {"host": "127.0.0.1:8765"}


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_use_compile_cache", lambda: None)


@pytest.fixture(scope="module")
def sampler(tiny_run: Path) -> Sampler:
    return load_sampler(tiny_run, batch=8)


@pytest.fixture(scope="module")
def explored(sampler: Sampler, tiny_run: Path) -> answers.Explored:
    directions = {EVIL: np.eye(8, dtype=np.float32)[0], "b": np.eye(8, dtype=np.float32)[1]}
    return answers.Explored(EVIL, sampler, directions, inverter(tiny_run, sampler, {}))


def ask(explored: answers.Explored, path: str, *, headers: Any = HOST, body: bytes | None = None) -> tuple[int, dict, bytes]:
    """Returns status, headers and content of an answer, without a network."""
    where, _, query = path.partition("?")
    pairs = headers.items() if isinstance(headers, dict) else headers
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET" if body is None else "POST",
        "path": where, "raw_path": where.encode(), "query_string": query.encode(), "root_path": "", "scheme": "http",
        "headers": [(name.encode(), value.encode()) for name, value in pairs],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body or b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(answers.application(explored, "127.0.0.1")(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(each.get("body", b"") for each in sent[1:])


def picture(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


def test_pictures_are_those_of_the_sampler(explored: answers.Explored, sampler: Sampler) -> None:
    status, headers, content = ask(explored, "/picture.png?seeds=5&label=3")
    assert (status, headers["content-type"], headers["cache-control"]) == (200, "image/png", "no-store")
    np.testing.assert_array_equal(picture(content), sampler(n=1, seed=5, labels=3).images[0, ..., 0])
    at_the_end = ask(explored, "/picture.png?seeds=9,8,7,5&x=1&y=1&label=3")[2]
    np.testing.assert_allclose(picture(at_the_end).astype(int), picture(content).astype(int), atol=1)
    between = ask(explored, "/picture.png?seeds=9,8,7,5&x=0.5&y=0.5&label=3")[2]
    assert (picture(between) != picture(content)).any()
    grid = picture(ask(explored, "/picture.png?seeds=5&n=10")[2])
    assert grid.shape[0] > 96  # of every class, in rows
    status, _, content = ask(explored, "/latents.npz?seeds=5&n=3&label=1,2&d=b:2&d=b:0.5")
    with np.load(io.BytesIO(content)) as held:
        z = np.asarray(sampler.functions.latents(5, np.arange(3, dtype=np.int32)))
        np.testing.assert_allclose(held["z"], z + 2.5 * np.eye(8)[1], atol=1e-6)
        assert held["labels"].tolist() == [1, 2, 1]
        again = place.as_text(held["z"][0])
    one = picture(ask(explored, f"/picture.png?z={again}&label=1")[2])
    np.testing.assert_array_equal(one, picture(ask(explored, "/picture.png?seeds=5&label=1&d=b:2.5")[2]))
    assert (picture(ask(explored, "/picture.png?seeds=5&label=3&psi=0.1")[2]) != picture(content_of(explored))).any()


def content_of(explored: answers.Explored) -> bytes:
    return ask(explored, "/picture.png?seeds=5&label=3")[2]


def test_threads_share_a_page(explored: answers.Explored) -> None:
    paths = [f"/picture.png?seeds={i % 3}&label={i % 3}&n={1 + i % 2}" for i in range(24)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda path: ask(explored, path)[2], paths))
    assert found == [ask(explored, path)[2] for path in paths]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("seeds=x", "seeds: 'x', but it must be a whole number from 0 to 4,294,967,295"),
        ("seeds=4294967296", "seeds: '4294967296', but it must be a whole number from 0 to 4,294,967,295"),
        ("seeds=1,2,3,4,5", "seeds: '1,2,3,4,5', but they are one to four"),
        ("seed=1", "seed: no such field; did you mean 'seeds'?"),
        ("x=0.1&x=0.2", "x: given twice, but one value is allowed"),
        ("x=nan", "x: 'nan', but it must be a number from 0 to 1"),
        ("y=2", "y: '2', but it must be a number from 0 to 1"),
        ("n=0", "n: '0', but it must be a whole number from 1 to 64"),
        ("n=%D9%A3", "n: '٣', but it must be a whole number from 1 to 64"),
        ("label=dog", "labels: dog, but the classes are 0 to 9"),
        ("psi=0", "truncation: 0.0, but as a threshold of z it must be above 0; inf for none"),
        ("psi=inf", "psi: 'inf', but it must be a number of at least 0"),
        ("d=none:1", f"d: 'none:1', but it must be NAME:FACTOR with one of {EVIL}, b"),
        ("d=b", f"d: 'b', but it must be NAME:FACTOR with one of {EVIL}, b"),
        ("d=b:1e9", "d: '1e9', but it must be a number from -1000 to 1000"),
        ("z=AAAA", "z: 3 bytes, but latents here are 8 float32 numbers"),
        ("z=" + "_" * 43, "z: not finite, but its numbers must be finite"),
    ],
)
def test_mistakes_are_one_line_with_status_400(query: str, told: str, explored: answers.Explored) -> None:
    for path in ("picture.png", "latents.npz"):
        status, headers, content = ask(explored, f"/{path}?{query}")
        assert (status, content.decode()) == (400, f"{told}\n")
        assert headers["content-type"] == "text/plain; charset=utf-8"
    assert ask(explored, f"/invert?{query}", body=b"")[0] == 400


@pytest.mark.parametrize("path", ["/", "/about", "/explore.js"])
def test_addresses_without_fields_refuse_them(path: str, explored: answers.Explored) -> None:
    status, _, content = ask(explored, f"{path}?seeds=1")
    told = "seeds: no such field; no field may follow ?; the page's own follow #\n"
    assert (status, content.decode()) == (400, told)


def test_a_dropped_picture_is_found(explored: answers.Explored, sampler: Sampler, tmp_path: Path) -> None:
    made = ask(explored, "/picture.png?seeds=5&label=3")[2]
    status, _, content = ask(explored, "/invert?label=3", body=made)
    found = json.loads(content)
    assert (status, found["label"]) == (200, 3)
    back = picture(ask(explored, f"/picture.png?z={found['z']}&label=3")[2]).astype(float)
    assert np.sqrt(np.square(back - picture(made)).mean()) < 16.0  # of 255
    assert float(re.search(r"([\d.]+) dB", found["words"]).group(1)) > 24.0
    assert json.loads(ask(explored, "/invert", body=made)[2])["label"] in range(10)
    status, _, content = ask(explored, "/invert", body=b"no picture")
    assert (status, content.decode()) == (400, "picture: 10 bytes, but it must be one of PNG, JPEG, WEBP\n")
    status, _, content = ask(explored, "/invert", body=b"x" * 20_000_001)
    assert (status, content) == (400, b"picture: more than 20,000,000 bytes\n")
    assert inverter(tmp_path / "x.jaxgan", sampler, {}) is None
    status, _, content = ask(explored._replace(invert=None), "/invert", body=made)
    assert status == 404


def test_directions_are_those_kept_beside_the_run(sampler: Sampler, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    vectors = np.eye(8, dtype=np.float32)[:3]
    for name, space, held in (("pca", "z", vectors), ("styles", "w", vectors), ("other", "z", vectors[:, :4])):
        kept.write(tmp_path, kept.Directions(name, space, held, np.ones(3), {}))
    (tmp_path / "directions" / "bad.npz").write_bytes(b"no archive")
    found = directions(tmp_path, sampler)
    assert list(found) == ["pca:1", "pca:2", "pca:3"]
    assert [record.getMessage().split(" ")[1] for record in caplog.records][1:] == ["other", "styles"]
    assert "bad.npz is damaged" in caplog.text
    here = place.parse([("seeds", "5"), ("d", "pca:2:-1.5")], sampler, found)
    assert here.moves == (("pca:2", -1.5),)
    still = place.latents_at(here._replace(moves=()), sampler, found)
    np.testing.assert_allclose(place.latents_at(here, sampler, found) - still, -1.5 * vectors[1][None], atol=1e-6)


REFUSED: list[tuple[str, Any]] = [
    ("/", {"host": "evil.example:8765"}),  # a name of theirs that is pointed at this machine
    ("/picture.png", {"host": "8.8.8.8:8765"}),
    ("/about", {"host": "localhost.evil.example"}),
    ("/about", {}),
    ("/about", [("host", "localhost"), ("host", "evil.example")]),
    ("/about", HOST | {"origin": "http://evil.example"}),
    ("/about", HOST | {"origin": "http://localhost:3000"}),  # another program of this machine
    ("/about", HOST | {"origin": "null"}),
    ("/about", HOST | {"origin": "https://127.0.0.1:8765"}),
    ("/picture.png", HOST | {"sec-fetch-site": "cross-site"}),
    ("/picture.png", HOST | {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"}),
    ("/", HOST | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}),
]


@pytest.mark.parametrize(("path", "headers"), REFUSED, ids=str)
def test_other_pages_are_refused(path: str, headers: Any, explored: answers.Explored) -> None:
    status, told, content = ask(explored, path, headers=headers)
    assert status == 403
    assert len(content.splitlines()) == 1
    assert "default-src 'self'" in told["content-security-policy"]
    assert not [name for name in told if name.startswith("access-control")]
    if path == "/about":
        assert ask(explored, "/invert", headers=headers, body=b"x")[0] == 403


def test_the_own_page_is_answered(explored: answers.Explored) -> None:
    for headers in (
        HOST,
        {"host": "localhost"},
        {"host": "[::1]:9000"},  # through a tunnel the port is another
        HOST | {"origin": "http://127.0.0.1:8765", "sec-fetch-site": "same-origin"},
        HOST | {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"},
    ):
        assert ask(explored, "/about", headers=headers)[0] == 200, headers
    linked = HOST | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    status, headers, content = ask(explored, "/", headers=linked)  # a link in a letter opens the page
    assert (status, headers["x-frame-options"]) == (200, "DENY")
    page = Parsed(content.decode())
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = {each["for"] for each in page.of("label")}
    assert {each["id"] for tag in ("input", "select") for each in page.of(tag)} <= labelled <= set(ids)
    loaded = [each.get("src") or each["href"] for tag in ("script", "link") for each in page.of(tag)]
    assert all(ask(explored, f"/{name}")[0] == 200 for name in loaded if name != "data:,")
    assert ask(explored, "/server.py")[0] == ask(explored, "/../pyproject.toml")[0] == 404
    assert json.loads(ask(explored, "/about")[2])["name"] == EVIL


def test_names_of_a_page_that_others_reach() -> None:
    allowed = guard.names("0.0.0.0")
    assert guard.refusal({"host": "192.168.0.7:8765"}, allowed, path="/about") is None
    assert guard.refusal({"host": f"{socket.gethostname()}:8765"}, allowed, path="/about") is None
    assert guard.refusal({"host": "evil.example:8765"}, allowed, path="/about")
    assert guard.names("::1") == guard.names("127.0.0.1") == {"localhost", "127.0.0.1", "[::1]"}


def test_whole_numbers_have_no_way(explored: answers.Explored, sampler: Sampler) -> None:
    about: About = sampler.about._replace(latent_dtype="int32")
    whole = Sampler(sampler.functions, about, sampler.sizes, sampler.draw)
    assert place.parse([("seeds", "3")], whole, {}).seeds == (3, 4, 5, 6)
    with pytest.raises(FieldError, match="between whole numbers there is no way"):
        place.parse([("x", "0.5")], whole, {})


def test_mistakes_cost_a_line(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for words, told in (
            ((tiny_run, "--port", port), rf"port: {port}, but it is in use; (\d+) is free: --port \1"),
            ((tiny_run, "--port", 70_000), "port: 70000, but it must be from 0 to 65,535"),
            ((tiny_run, "--host", "192.0.2.1"), "host: '192.0.2.1', but it cannot be listened at: "),
            ((tiny_run, "--host", "no such host"), "host: 'no such host', but it cannot be listened at: "),
            ((tmp_path / "none", "--port", 0), "run: .*none is not a run"),
        ):
            status, out, lines = command(capsys, "explore", "--no-browser", *words)
            assert (status, out, len(lines)) == (2, "", 1), lines
            assert re.search(f"^jaxgan explore: {told}", lines[0]), lines
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    status, out, lines = command(capsys, "explore", tiny_run)
    assert (status, out, len(lines)) == (2, "", 1)
    assert "starlette and uvicorn are not installed: pip install 'jaxgan[explore]'" in lines[0]


def test_the_page_in_a_browser(tiny_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    jaxgan.export(tiny_run, out=file)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    words = [sys.executable, "-m", "jaxgan", "explore", str(file), "--port", "0", "--no-browser", "--no-compile-cache"]
    process = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address), process.communicate(timeout=30)
    with browser.page(address) as page:
        _walk_over(page)
        _drop_and_save(page, tmp_path)
        assert page.errors == []
        assert all(each.startswith((address, f"blob:{address}", "data:", "about:")) for each in page.requests)
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert told.splitlines()[:2] == ["explore: compiling", "Ctrl-C ends it"]


def _walk_over(page: browser.Page) -> None:
    pixels = """(async () => { const image = document.getElementById('picture'); await image.decode();
        const canvas = document.createElement('canvas'); canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
        canvas.getContext('2d').drawImage(image, 0, 0);
        return canvas.toDataURL(); })()"""
    seen = "document.body.dataset.shown === location.hash.slice(1)"
    page.wait(f"document.body.dataset.shown && {seen}")
    first = page.run(pixels)
    change = "(() => {{ const it = document.getElementById('{}'); it.value = '{}'; it.dispatchEvent(new Event('{}')); }})()"
    page.run(change.format("seed-0", 77, "change"))
    page.wait(f"location.hash.includes('seeds=77') && {seen}")
    second = page.run(pixels)
    assert second != first
    page.run("document.getElementById('x').focus()")
    for _ in range(3):
        page.press("ArrowRight", 39)
    page.wait(f"location.hash.includes('x=0.03') && {seen}")
    page.run(change.format("label", 4, "change"))
    page.run("document.getElementById('truncate').click()")
    box = page.run(
        "(() => { const box = document.getElementById('pad').getBoundingClientRect(); return [box.x, box.y, box.width]; })()"
    )
    where = {"x": box[0] + 0.5 * box[2], "y": box[1] + 0.75 * box[2], "button": "left", "clickCount": 1}
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", {"type": kind} | where)
    page.wait(f"location.hash.includes('y=0.75') && location.hash.includes('label=4') && {seen}")
    link, third = page.run("location.href"), page.run(pixels)
    assert "psi=1" in link
    page.open("about:blank")
    page.open(link)
    page.wait(f"document.body.dataset.shown && {seen}")
    assert page.run("location.href") == link
    assert page.run(pixels) == third != second
    page.resize(390, 844, True)
    assert page.run("document.documentElement.scrollWidth") <= 390
    page.run("location.hash = 'seeds=1&n=900'")  # as one who writes into the address does
    page.wait("document.getElementById('status').classList.contains('bad')")
    assert page.run("document.getElementById('status').textContent").startswith("n: '900', but")
    page.run("location.hash = 'seed=1&n=1'")
    page.wait("document.getElementById('status').textContent.startsWith('seed: no such field; did you mean')")
    # The browser's own line about the answer 400 that was asked for.
    page.errors[:] = [each for each in page.errors if "status of 400" not in each]


def _drop_and_save(page: browser.Page, folder: Path) -> None:
    drop = """(async () => { const made = await (await fetch('picture.png?seeds=5&label=7')).blob();
        const held = new DataTransfer(); held.items.add(new File([made], 'seven.png', {type: 'image/png'}));
        const event = new DragEvent('drop', {dataTransfer: held, bubbles: true, cancelable: true});
        document.getElementById('label').value = '7'; document.dispatchEvent(event); })()"""
    page.run("document.getElementById('again').click()")
    page.run(drop)
    page.wait("document.getElementById('found').textContent.includes('dB')")
    page.wait("document.body.dataset.shown.includes('z=') && document.body.dataset.shown === location.hash.slice(1)")
    page.downloads(folder)
    page.run("document.getElementById('latents').click()")
    end = time.monotonic() + 20
    while not (folder / "latents.npz").exists():
        assert time.monotonic() < end
        time.sleep(0.1)
    with np.load(folder / "latents.npz") as held:
        assert held["z"].shape == (1, 8)
        assert held["labels"].tolist() == [7]
