"""Published weights: verified before they are read, converted once, and one line when they are not to be had.

No test reaches the network: what a server would send is put in the place of `urllib.request.urlopen`.
"""

import hashlib
import io
import logging
import re
import sys
import urllib.error
import urllib.request
from http.client import IncompleteRead
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from jaxgan.evaluation.features import cache, published
from jaxgan.evaluation.features.published import Published, load

GOLDENS = Path(__file__).parent / "goldens"
TENSORS = {"fc.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "fc.bias": np.ones(2, np.float32)}
CONTENT = safetensors.numpy.save(TENSORS)
URL = "https://example.invalid/releases/net-1234.safetensors"


def described(content: bytes, file: str = "net-1234.safetensors", **changes) -> Published:
    fields = {"name": "net", "file": file, "url": URL, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    return Published(**fields | changes)


NET = described(CONTENT, aliases=("pt_net.safetensors",))


def convert(tensors):
    return {"fc": {"kernel": tensors["fc.weight"].T, "bias": tensors["fc.bias"]}}


@pytest.fixture(autouse=True)
def server(monkeypatch):
    """Answers with `content`, or raises `error`; by default there is no network. Keeps the requests."""

    class Server:
        def __init__(self):
            self.content: bytes = b""
            self.error: Exception | None = urllib.error.URLError("Temporary failure in name resolution")
            self.requests: list[str] = []

        def send(self, content: bytes) -> None:
            self.content, self.error = content, None

        def open(self, url, *, timeout):
            assert timeout <= 10
            self.requests.append(url)
            if self.error:
                raise self.error
            return io.BytesIO(self.content)

    found = Server()
    monkeypatch.setattr(urllib.request, "urlopen", found.open)
    return found


@pytest.fixture
def weights(tmp_path):
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def check_params(kept):
    np.testing.assert_array_equal(kept.params["fc"]["kernel"], TENSORS["fc.weight"].T)
    np.testing.assert_array_equal(kept.params["fc"]["bias"], TENSORS["fc.bias"])
    assert kept.about["source_sha256"] == NET.sha256


def one_line(caught) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_among_the_weights_is_converted_once(tmp_path, weights, server):
    (weights / NET.file).write_bytes(CONTENT)
    first = load(NET, convert, cache_dir=tmp_path)
    check_params(first)
    (weights / NET.file).unlink()  # not needed any more
    again = load(NET, lambda _: pytest.fail("converted again"), cache_dir=tmp_path)
    check_params(again)
    assert (again.about, again.checksum) == (first.about, first.checksum)
    assert first.checksum == hashlib.sha256((tmp_path / "features" / "net.safetensors").read_bytes()).hexdigest()
    assert not server.requests


def test_it_may_have_the_other_name_that_it_is_published_under(tmp_path, weights):
    (weights / "pt_net.safetensors").write_bytes(CONTENT)
    check_params(load(NET, convert, cache_dir=tmp_path))


@pytest.mark.parametrize("name", ["torch_zip.pth", "torch_legacy.pth"])
def test_files_of_torch_are_read_too(tmp_path, weights, name):
    content = (GOLDENS / name).read_bytes()
    (weights / name).write_bytes(content)
    kept = load(described(content, name), lambda tensors: {"x": tensors["view"]}, cache_dir=tmp_path)
    np.testing.assert_array_equal(kept.params["x"], np.arange(24).reshape(4, 6)[1:3, ::2])
    again = load(described(content, name), convert, cache_dir=tmp_path)
    np.testing.assert_array_equal(again.params["x"], kept.params["x"])


def test_a_file_given_lies_anywhere_and_is_verified_even_when_a_conversion_is_kept(tmp_path):
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(CONTENT)
    check_params(load(NET, convert, file=mine, cache_dir=tmp_path))
    mine.write_bytes(CONTENT[:-1] + b"\1")
    found = hashlib.sha256(mine.read_bytes()).hexdigest()
    with pytest.raises(ValueError, match="sha256") as caught:
        load(NET, convert, file=mine, cache_dir=tmp_path)
    assert one_line(caught) == f"{mine}: the sha256 of {NET.file} is {NET.sha256}, but this file's is {found}"
    with pytest.raises(FileNotFoundError, match=r"gone: there is no such file$"):
        load(NET, convert, file=tmp_path / "gone", cache_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match=r": it is a folder$"):
        load(NET, convert, file=tmp_path, cache_dir=tmp_path)


def test_a_wrong_file_among_the_weights_is_refused_and_not_replaced(tmp_path, weights, server):
    server.send(CONTENT)
    (weights / NET.file).write_bytes(CONTENT + b"\0")
    found = hashlib.sha256(CONTENT + b"\0").hexdigest()
    with pytest.raises(ValueError, match="sha256") as caught:
        load(NET, convert, cache_dir=tmp_path)
    assert all(word in one_line(caught) for word in (str(weights / NET.file), found, NET.sha256))
    assert not server.requests
    assert names(weights) == [NET.file]


def test_what_is_not_here_is_downloaded_once(tmp_path, server, capsys):
    server.send(CONTENT)
    check_params(load(NET, convert, cache_dir=tmp_path))
    assert server.requests == [URL]
    assert names(tmp_path / "weights") == [NET.file]
    assert (tmp_path / "weights" / NET.file).read_bytes() == CONTENT
    check_params(load(NET, convert, cache_dir=tmp_path))
    assert server.requests == [URL]
    assert capsys.readouterr() == ("", "")  # no bar, this is no terminal


def test_on_a_terminal_a_bar_shows_how_far_it_is(tmp_path, server, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    server.send(CONTENT)
    load(NET, convert, cache_dir=tmp_path)
    assert f"{NET.file}: 100%" in sys.stderr.getvalue()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (urllib.error.URLError(OSError(101, "Network is unreachable")), "Network is unreachable"),
        (urllib.error.HTTPError(URL, 404, "Not Found", None, None), "Not Found"),
        (TimeoutError("timed out"), "timed out"),
        (TimeoutError(), "TimeoutError"),
        (IncompleteRead(b"abc"), r"IncompleteRead\(3 bytes read\)"),
        (OSError("line\none"), "line one"),
    ],
)
def test_without_a_network_one_line_says_what_to_put_where(tmp_path, server, error, reason):
    server.error = error
    with pytest.raises(FileNotFoundError) as caught:
        load(NET, convert, cache_dir=tmp_path)
    wanted = f"{NET.file} with sha256 {NET.sha256} must be put in {tmp_path / 'weights'}"
    assert re.fullmatch(rf"{re.escape(f'{wanted}: cannot download {URL}: ')}.*{reason}.*", one_line(caught))
    assert not list(tmp_path.rglob("*"))


def test_a_download_that_breaks_off_leaves_nothing(tmp_path, server):
    server.send(CONTENT[:-1])
    with pytest.raises(FileNotFoundError, match=f"it ended after {len(CONTENT) - 1} of {len(CONTENT)} bytes$"):
        load(NET, convert, cache_dir=tmp_path)
    assert names(tmp_path / "weights") == []


class Breaking(io.BytesIO):
    """Sends a part, then fails."""

    def read(self, size=-1):
        part = super().read(50)
        if not part:
            raise ConnectionResetError(104, "Connection reset by peer")
        return part


def test_an_error_on_the_way_leaves_nothing(tmp_path, server, monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Breaking(CONTENT[:200]))
    with pytest.raises(FileNotFoundError, match=r"Connection reset by peer$"):
        load(NET, convert, cache_dir=tmp_path)
    assert names(tmp_path / "weights") == []


@pytest.mark.parametrize("sent", [CONTENT[:-1] + b"\1", CONTENT + b"more"])
def test_a_download_of_something_else_is_refused_and_leaves_nothing(tmp_path, server, sent):
    server.send(sent)
    with pytest.raises(ValueError, match="but what came has") as caught:
        load(NET, convert, cache_dir=tmp_path)
    assert one_line(caught).startswith(f"{URL}: its sha256 must be {NET.sha256}, ")
    assert names(tmp_path / "weights") == []
    assert not (tmp_path / "features").exists()


def test_a_download_without_an_end_is_cut_off(tmp_path, monkeypatch):
    class Endless(io.BytesIO):
        reads = 0

        def read(self, size=-1):
            assert Endless.reads < 5
            Endless.reads += 1
            return bytes(size)

    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Endless())
    with pytest.raises(ValueError, match="but what came has"):
        load(NET, convert, cache_dir=tmp_path)
    assert Endless.reads == 1


def flip(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def test_a_damaged_conversion_is_made_anew_with_one_warning(tmp_path, weights, caplog):
    (weights / NET.file).write_bytes(CONTENT)
    first = load(NET, convert, cache_dir=tmp_path)
    path = tmp_path / "features" / "net.safetensors"
    whole = path.read_bytes()
    path.write_bytes(flip(whole))
    found = hashlib.sha256(flip(whole)).hexdigest()
    check_params(load(NET, convert, cache_dir=tmp_path))
    (warning,) = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    damage = f"{path}: its sha256 must be {first.checksum}, but it is {found}"
    assert warning == f"{damage}; it is made anew from {weights / NET.file}"
    assert path.read_bytes() == whole

    path.write_bytes(flip(whole))
    (weights / NET.file).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load(NET, convert, cache_dir=tmp_path)
    assert one_line(caught).startswith(f"{damage}; {NET.file} with sha256 {NET.sha256} must be put in ")


def refuse_wide(params):
    if params["fc"]["kernel"].shape != (3, 2):
        raise ValueError("fc: too wide")


@pytest.mark.parametrize("change", ["conversion", "source", "check"])
def test_a_conversion_of_something_else_is_not_taken(tmp_path, weights, caplog, change):
    (weights / NET.file).write_bytes(CONTENT)
    load(NET, convert, cache_dir=tmp_path)
    path, asked, arguments = tmp_path / "features" / "net.safetensors", NET, {}
    if change == "conversion":
        arguments = {"conversion": "2"}
    elif change == "source":
        content = safetensors.numpy.save({name: x + 1 for name, x in TENSORS.items()})
        asked = described(content, "other.safetensors")
        (weights / "other.safetensors").write_bytes(content)
    else:
        cache.write(path, *cache.packed({"fc": {"kernel": np.zeros((9, 9))}}, load(NET, convert, cache_dir=tmp_path).about))
        arguments = {"check": refuse_wide}
    kept = load(asked, convert, cache_dir=tmp_path, **arguments)
    assert "fc: too wide" in caplog.text if change == "check" else "in another way" in caplog.text
    assert kept.about["source_sha256"] == asked.sha256
    assert kept.params["fc"]["kernel"][0, 1] == 3 + (change == "source")
    caplog.clear()
    load(asked, lambda _: pytest.fail("converted again"), cache_dir=tmp_path, **arguments)
    assert not caplog.records


def test_tensors_that_do_not_fit_are_told_with_the_file(tmp_path, weights):
    (weights / NET.file).write_bytes(CONTENT)

    def strict(tensors):
        raise ValueError(f"tensors: surplus: {', '.join(sorted(tensors))}")

    with pytest.raises(ValueError, match="surplus") as caught:
        load(NET, strict, cache_dir=tmp_path)
    assert one_line(caught) == f"{weights / NET.file}: tensors: surplus: fc.bias, fc.weight"
    with pytest.raises(ValueError, match=r"net-1234\.safetensors: fc: too wide$"):
        load(NET, lambda _: {"fc": {"kernel": np.zeros((9, 9))}}, check=refuse_wide, cache_dir=tmp_path)
    assert not (tmp_path / "features").exists()


def test_a_file_of_several_networks_is_refused(tmp_path, weights):
    content = safetensors.numpy.save({"G.a": np.zeros(1), "D.a": np.zeros(1)})
    (weights / NET.file).write_bytes(content)
    with pytest.raises(ValueError, match="it must hold the tensors of one network, but it holds ") as caught:
        load(described(content), convert, cache_dir=tmp_path)
    assert one_line(caught).startswith(str(weights / NET.file))


def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path, weights, caplog):
    (weights / NET.file).write_bytes(CONTENT)
    (tmp_path / "features").write_text("a file where the folder should be")
    check_params(load(NET, convert, cache_dir=tmp_path))
    assert "cache: cannot write" in caplog.text


@pytest.mark.parametrize("each", [published.INCEPTION, published.DINOV2_B, published.DINOV2_L], ids=lambda each: each.name)
def test_what_is_published(each):
    assert re.fullmatch("[0-9a-f]{64}", each.sha256)
    assert each.url.startswith("https://")
    # Both hosts keep the bytes of a release and of a commit: those of a branch may change.
    assert "/releases/download/v" in each.url or re.search("/resolve/[0-9a-f]{40}/", each.url)
    assert Path(each.file).suffix == Path(each.url).suffix  # which says how it is read
    assert "6726825d" not in each.file or each.sha256.startswith("6726825d")  # PyTorch's names hold the first eight
