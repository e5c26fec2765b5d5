"""`jaxgan report`: one valid file without network, whatever the run holds; in a browser its sliders move."""

import contextlib
import functools
import itertools
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest
from PIL import Image
from test_cli import run as command

import jaxgan
from jaxgan import cli, pictures
from jaxgan.commands.sampler import load_sampler
from jaxgan.data.generated import table
from jaxgan.pages import answers, charts, facts, markup, place, sections, stills, walks
from jaxgan.recipes import MLP, Data, MLPDiscriminator, Recipe
from jaxgan.recipes.record import Allowed
from jaxgan.system.messages import FieldError
from jaxgan.training import endings, runs

MOST = 5_000_000
EVIL = "<script>alert(1)</script>"
_EMPTY = {"meta", "img", "input", "br", "hr", "link"}


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_use_compile_cache", lambda: None)


class Parsed(HTMLParser):
    """A page's elements; an element that is not closed in its order fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in _EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def checked(path: Path) -> tuple[Parsed, str]:
    """Reads a report and holds it to what every report promises."""
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST
    page = Parsed(text)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert not [name for name, count in Counter(ids).items() if count > 1]
    for _, attributes in page.elements:
        for name in ("for", "aria-labelledby"):
            assert set((attributes.get(name) or "").split()) <= set(ids), attributes
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/webp;base64,")), attributes
        assert not [name for name in attributes if name.startswith("on") or name == "style"], attributes
    assert {each["href"] for each in page.of("a")} <= {f"#{name}" for name in ids}
    assert all(each["alt"] and each["width"] and each["height"] for each in page.of("img"))
    assert len(page.of("table")) == len(page.of("caption"))
    assert [each.get("type") for each in page.of("script")] == ["application/json", None]
    labelled = {each["for"] for each in page.of("label")}
    assert {each["id"] for each in page.of("input")} == labelled
    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert max(b - a for a, b in itertools.pairwise(levels)) <= 1
    assert page.of("html")[0]["lang"] == "en"
    return page, text


def content(text: str) -> dict[str, Any]:
    """Returns the data that a page's script draws."""
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


@pytest.fixture(scope="module")
def evil(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose every text is an attack: names of classes, code, versions, changes, evidence, an evaluation."""
    run = tmp_path_factory.mktemp("evil") / "<b>&'\"run"
    shutil.copytree(tiny_run, run)
    file = run / "recipe.json"
    recipe = json.loads(file.read_text())
    recipe["data"]["class_names"] = [EVIL, "</table>", *map(str, range(2, 10))]
    recipe["data"]["origin"] = recipe["versions"]["numpy"] = recipe["device"]["kind"] = EVIL
    recipe["changes"] = [{"step": 3, "images": 24, "fields": {EVIL: ["</ul>", EVIL]}, "code": [EVIL]}]
    file.write_text(json.dumps(recipe))
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rows = [
        {**row, "verdict": EVIL, "evidence": [EVIL, "</script>"], f"</script>{EVIL}": float(i)} for i, row in enumerate(rows)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    value = {"mean": 1.5, "definition": EVIL, "better": EVIL, "floors": [{"words": EVIL, "value": 0.5, "deviation": 0.1}]}
    told = {"run": EVIL, "step": 4, "values": {"fid": value, f"kid{EVIL}": {"title": EVIL}}, "warnings": [EVIL]}
    (run / "evaluation.json").write_text(json.dumps(told))
    Image.new("RGB", (64, 32), "red").save(run / "evaluation-nearest.png")
    return run


@pytest.fixture(scope="module")
def report(evil: Path) -> Path:
    return jaxgan.report(evil)


def test_a_report_is_valid_and_holds_texts_as_texts(evil: Path, report: Path) -> None:
    assert report == evil / "report.html"
    page, text = checked(report)
    assert text.count(EVIL) == 0
    words = "".join(page.words)
    for part in (EVIL, "</table>", "finished: step 12 of 12", "Measured at step 4", "0.5 ± 0.1"):
        assert part in words, part
    assert "the run has gone on to step 12" in words
    assert next(film["labels"] for film in content(text)["films"]) == ["step 0", "step 6", "step 12"]
    assert len(page.of("img")) == 3  # samples, a way, the nearest real ones
    again = report.read_bytes()
    assert jaxgan.report(evil).read_bytes() == again


def test_a_report_in_a_browser(report: Path, tmp_path: Path) -> None:
    with browser.page(report.as_uri(), width=1200) as page:
        assert page.run("document.querySelectorAll('.plot svg path').length") > 8
        moved = """(() => { const slider = document.getElementById('move-0'), picture = document.getElementById('film-0');
            const before = picture.src; slider.value = 0; slider.dispatchEvent(new Event('input'));
            return [before !== picture.src, picture.alt, document.getElementById('said-0').textContent]; })()"""
        assert page.run(moved) == [True, "Samples of the same latents at every step: step 0", "step 0"]
        page.run("document.getElementById('move-0').focus()")
        page.press("ArrowRight", 39)
        assert page.run("document.getElementById('said-0').textContent") == "step 6"
        page.run("document.getElementById('at-0').focus()")
        last = page.run("document.getElementById('value-0').textContent")
        page.press("ArrowLeft", 37)
        assert page.run("document.getElementById('value-0').textContent") != last
        page.run("document.getElementById('play-1').click()")
        page.wait("document.getElementById('said-1').textContent !== 'frame 1 of 24'")
        page.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        page.wait("document.querySelectorAll('.values table caption').length > 4")
        for width, phone in ((390, True), (1200, False)):
            page.resize(width, 844, phone)
            assert page.run("document.documentElement.scrollWidth") <= width
        assert page.run("document.querySelectorAll('script').length") == 2
        assert page.errors == []
        assert {each.partition(":")[0] for each in page.requests} == {"file", "data"}


def tiny(name: str, **fields: Any) -> Recipe:
    nets = {"generator": MLP(width=8, depth=1, latent_dim=4), "discriminator": MLPDiscriminator(width=8, depth=1)}
    intervals = {"steps": 2, "log_interval": 1, "sample_interval": 1, "checkpoint_interval": 2}
    return Recipe(**({"data": Data(name), "batch_size": 8} | nets | intervals | fields))


@pytest.mark.parametrize("name", ["ring", "signals", "fields", "table"])
def test_runs_of_other_samples_have_reports(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walks, "_OF_PLOTS", 1)  # frames that matplotlib draws take a second each
    run = jaxgan.train(tiny(name, seeds=2 if name == "ring" else 1), tmp_path / name)
    page, text = checked(jaxgan.report(run))
    words, films = "".join(page.words), content(text)["films"]
    assert len(films) == (3 if name == "ring" else 2), words  # samples, and the way of each GAN
    assert all(len(film["src"]) == (24 if name == "fields" else 3) for film in films[1:])
    assert "samples shown" in words or name == "fields"
    assert ("images shown" in words) == (name == "fields")
    if name == "table":  # names of columns are those of the set, from the run and from each file
        file = load_sampler(jaxgan.export(run, out=tmp_path / "g.jaxgan"))
        assert run.units.columns == tuple(file.about.units[4]) == table.COLUMNS
    drawn = load_sampler(run.path, batch=8)
    samples, z = place.samples_at(place.parse([("x", "0.5"), ("n", "20")], drawn, {}), drawn, {})
    assert samples.shape == (20, *run.shape.sample)
    assert z.shape == (20, 4)
    assert answers.picture(samples).startswith(b"\x89PNG")  # as the local page shows them
    if name == "ring":
        assert "GAN 1 of 2" in words
        assert any(line["error"] for chart in content(text)["charts"] for line in chart["lines"])


def test_runs_that_lack_parts_have_reports(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    shutil.rmtree(run / "checkpoints")
    shutil.rmtree(run / "samples")
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(lines[:2]) + "no row\n")
    (run / "evaluation.json").write_text("[1]")
    page, text = checked(jaxgan.report(run, out=tmp_path / "elsewhere.html"))
    words = "".join(page.words)
    for part in (
        "not finished: step 8 of 12",
        "No interpolation: the run has no checkpoint.",
        "No picture of samples is there.",
        "evaluation.json cannot be used: it holds no values of one run",
        "Lines of metrics.jsonl that are no rows: line 3",
        "No verdict: ",
    ):
        assert part in words, part
    assert content(text)["films"] == []
    assert not (run / "report.html").exists()


def test_a_run_whose_code_is_gone_has_a_report(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    recipe = json.loads((run / "recipe.json").read_text())
    recipe["recipe"] |= {"generator": {"type": "gone.py:Mine", "width": 3, "latent_dim": 4}}
    recipe["code"] = {"gone.py": {"path": None, "sha256": "0" * 64}}
    (run / "recipe.json").write_text(json.dumps(recipe))
    page, text = checked(jaxgan.report(run))
    words = "".join(page.words)
    assert re.search(r"No interpolation: .*gone\.py", words), words[:3000]
    assert content(text)["charts"][0]["mark"]["value"] == pytest.approx(np.log(2.0), abs=1e-6)  # of a loss of ours
    assert len(content(text)["films"]) == 1


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Goes through the places of a JSON value, whole ones too."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, each in items:
        yield from leaves(each, (*path, key))


def test_whatever_files_hold_is_told_or_refused_in_a_line(evil: Path, tmp_path: Path) -> None:
    shutil.copytree(evil, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints", "*.html"))
    told, refused = 0, list[str]()
    for name in ("recipe.json", "evaluation.json"):
        file = tmp_path / "run" / name
        text = file.read_text()
        for path in leaves({key: each for key, each in json.loads(text).items() if key != "recipe"}):
            for other in (None, 5, "x", [[]], {"x": 1}):
                content_ = json.loads(text)
                place_ = functools.reduce(lambda held, key: held[key], path[:-1], content_)
                place_[path[-1]] = other
                file.write_text(json.dumps(content_))
                try:
                    facts_ = facts.read(tmp_path / "run", Allowed())
                    told += bool(sections.told(facts_))
                except FieldError as error:
                    refused.append(str(error))
        file.write_text(text)
    assert told > 100
    assert len(refused) > 20
    assert not [line for line in refused if "\n" in line]


def test_mistakes_cost_a_line(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(tiny_run / "recipe.json", bare)
    for words, told in (
        ((tmp_path / "none",), "run: .*none is not a run: there is no such folder"),
        ((bare,), "run: .*bare, but it has no metrics yet"),
        ((tiny_run, "--best"), "best: .* keeps no best checkpoint; train with --keep-best FIGURE"),
        ((tiny_run, "--out", tmp_path), "out: .*, but that is a folder"),
        ((tiny_run, "--out", tmp_path / "x.pdf"), r"out: x.pdf, but it must end in \.html"),
        ((tiny_run, "--out", tmp_path / "no" / "x.html"), "out: .*, but there is no folder"),
    ):
        status, out, lines = command(capsys, "report", *words)
        assert (status, out, len(lines)) == (2, "", 1), lines
        assert re.search(f"^jaxgan report: {told}", lines[0]), lines
    assert not (tiny_run / "report.html").exists()


def test_train_writes_a_report_where_asked(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    status, out, _ = command(capsys, "train", run, "--report")
    assert (status, out) == (0, str(run))
    checked(run / "report.html")


def test_train_writes_a_report_of_a_bad_end(
    tiny_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    shutil.rmtree(run / "checkpoints")

    def ends(*_: object, **options: object) -> None:
        raise endings.Stopped("mode collapse at step 12")

    monkeypatch.setattr("jaxgan.training.train.train", ends)
    status, _, told = command(capsys, "train", "digits", "--run", run, "--report")
    assert (status, told[-1]) == (1, "jaxgan train: mode collapse at step 12")
    checked(run / "report.html")
    (run / "metrics.jsonl").unlink()  # a report that cannot be written leaves the verdict and its exit status as they are
    status, _, told = command(capsys, "train", "digits", "--run", run, "--report")
    assert (status, told[-1]) == (1, "jaxgan train: mode collapse at step 12")
    assert re.search("report: not written: run: .*it has no metrics yet", caplog.text)
    monkeypatch.setattr("jaxgan.training.train.train", lambda *_, **__: runs.read(tiny_run))
    monkeypatch.setattr("jaxgan.commands.report.report", lambda *_, **__: 1 / 0)
    status, out, _ = command(capsys, "train", "digits", "--run", run, "--report")
    assert (status, out) == (0, str(tiny_run))
    assert "report: not written: division by zero; jaxgan report " in caplog.text


def test_a_damaged_checkpoint_is_refused_before_a_page_is_written(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    for each in (run / "checkpoints").rglob("*"):
        if each.is_file() and "/d/" in str(each):
            each.write_bytes(each.read_bytes()[:-7])
    status, out, lines = command(capsys, "report", run, "--strict")
    assert (status, out, len(lines)) == (2, "", 1), lines
    assert lines[0].startswith("jaxgan report: checkpoint 12 in ")
    assert not (run / "report.html").exists()
    assert command(capsys, "report", run)[0] == 0  # without it, the page says why there is no interpolation
    assert "No interpolation" in (run / "report.html").read_text()


@pytest.mark.parametrize(
    ("row", "mark"),
    [
        ({"verdict": "converged"}, "good"),
        ({"verdict": "still improving"}, "fair"),
        ({"verdict": "mode collapse"}, "bad"),
        ({"verdict": "2 converged", "members": {"verdict": ["converged", "converged"]}}, "good"),
        ({"verdict": "1 converged, 1 still improving", "members": {"verdict": ["converged", "still improving"]}}, "fair"),
        ({"verdict": "1 converged, 1 diverged", "members": {"verdict": ["converged", "diverged"]}}, "bad"),
    ],
)
def test_a_verdict_is_marked_by_the_worst_of_its_gans(row: dict[str, Any], mark: str, tiny_run: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_run / "recipe.json", tmp_path)
    rows = [{"step": 11, "images": 88, "d_loss": 1.0}, {"step": 12, "images": 96, "d_loss": 2.0} | row]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    page, _ = checked(jaxgan.report(tmp_path))
    assert [each["class"] for each in page.of("strong")] == [f"verdict {mark}"]


def contrast(a: str, b: str) -> float:
    """Returns WCAG's ratio of two colours, `#rrggbb`."""
    shares = np.array([[int(each[i : i + 2], 16) for i in (1, 3, 5)] for each in (a, b)]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return float((high + 0.05) / (low + 0.05))


def test_colours_are_legible() -> None:
    style = (Path(jaxgan.__file__).parent / "pages" / "page.css").read_text(encoding="utf-8")
    schemes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(schemes) == 2  # light and dark
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#\w{6});", scheme))
        for name in colours.keys() - {"paper", "panel", "line"}:
            assert min(contrast(colours[name], colours[each]) for each in ("paper", "panel")) >= 4.5, name


def test_many_large_pictures_and_long_logs_fit(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    shutil.rmtree(run / "checkpoints")
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png", compress_level=0)
    for step in range(90):
        with contextlib.suppress(FileExistsError):
            (run / "samples" / f"{step:06d}.png").hardlink_to(tmp_path / "noise.png")
    rows = [{"step": i, "images": i * 8, **{f"figure_{j}": i % 97 + 0.123456 for j in range(40)}} for i in range(3_000)]
    rows[1234]["figure_3"] = 1e9
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page, text = checked(jaxgan.report(run))
    found = content(text)
    assert max(max(line["y"]) for line in found["charts"][3]["lines"]) == 1e9  # no peak is lost
    shown, words = len(found["films"][0]["src"]), "".join(page.words)
    assert f"{shown} of {len(list((run / 'samples').iterdir()))} pictures are shown" in words
    assert 1 <= shown < 30


def test_series_are_those_of_curves() -> None:
    rows = [{"step": i, "images": 8 * i, "d_loss": 1.0 + i, "g_loss": None, "d_real": 0.5, "odd": i} for i in range(1, 101)]
    found = pictures.series(rows, equilibrium=0.7)
    assert [panel.title for panel in found.panels] == ["losses", "odd"]
    assert found.panels[0].mark == (0.7, "D at equilibrium, 0.7")
    assert found.note == ("sigmoid of D's logits: D(x), real 0.5",)
    assert pictures.series(rows, equilibrium=None).panels[0].mark is None
    losses, odd = charts.data(found)
    assert [line["broken"] for line in losses["lines"]] == [None, 8]
    assert odd["lines"][0]["mean"][-1] == 99.5  # of the last two of a hundred
    assert list(charts.thinned(np.array([0.0, 5.0, 1.0, 1.0, -3.0, 0.0, 1.0, 2.0]), 6)) == [0, 1, 4, 7]


def test_markup_escapes_everything_that_is_not_markup() -> None:
    made = markup.tag("p", EVIL, markup.tag("b", "x\x00"), title='"&', for_="a", hidden=False, open=True)
    assert made == f'<p title="&quot;&amp;" for="a" open>{EVIL.replace("<", "&lt;").replace(">", "&gt;")}<b>x�</b></p>'
    assert "<" not in markup.data({"</script>": "<!--"})
    assert json.loads(markup.data({"</script>": "<!--"})) == {"</script>": "<!--"}


def test_pictures_are_made_to_fit() -> None:
    noise = [Image.fromarray(np.random.default_rng(i).integers(0, 256, (128, 128, 3), np.uint8)) for i in range(4)]
    kept, whole = stills.fitted(noise, 10**7)
    assert kept == [0, 1, 2, 3]
    lossless = sum(map(len, whole))
    for most, count in ((lossless // 2, 4), (lossless // 12, 3), (1_500, 1), (10, 0)):
        kept, found = stills.fitted(noise, most)
        assert sum(map(len, found)) <= most
        assert len(kept) == len(found) <= max(count, 0)
    assert stills.fitted([], 100) == ([], [])
