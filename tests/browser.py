"""A page in headless Chromium, for tests: its own DevTools protocol over a pipe, which needs no driver and no package.

    with browser.page(url, width=1200, dark=True) as page:
        page.wait("document.querySelector('canvas').width > 0")
        page.run("document.querySelector('#seed').value = 3")
        page.screenshot(path)
        assert page.errors == []

`files(folder)` serves a folder at an address of this machine, as `python -m http.server` does. Where there is no Chromium,
`page` skips the test with that reason.
"""

import base64
import contextlib
import functools
import http.server
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAM = next((path for path in map(shutil.which, NAMES) if path), None)
MISSING = f"no Chromium on the path (looked for {', '.join(NAMES)})"
_PATIENCE = 60.0  # seconds that an answer may take
_FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-sync",
    "--mute-audio",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
]
# Chromium reads commands from descriptor 3 and writes answers to 4; a child of ours gets them by other numbers.
_AS_3_AND_4 = """
import os, sys
read, write = (os.dup(int(each)) for each in sys.argv[1:3])
read, write = (os.dup2(each, 100 + place) for place, each in enumerate((read, write)))
os.dup2(read, 3)
os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class PageError(AssertionError):
    """An expression raised in the page, or the browser did not answer."""


class Page:
    """A page that is open. Attributes: `errors`, a line for each error of its console, exception and failed request."""

    def __init__(self, commands: int, answers: int) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []  # addresses that were asked for
        self._commands, self._answers, self._rest, self._count, self._session = commands, answers, b"", 0, ""
        self._loaded = False

    def run(self, expression: str, seconds: float = _PATIENCE) -> Any:
        """Returns the value of a JavaScript expression, as JSON; of a promise, that which it is kept with."""
        told = {"expression": expression, "returnByValue": True, "awaitPromise": True, "userGesture": True}
        result = self.call("Runtime.evaluate", told, seconds)
        if "exceptionDetails" in result:
            raise PageError(_of_exception(result["exceptionDetails"]))
        return result["result"].get("value")

    def wait(self, expression: str, seconds: float = _PATIENCE) -> Any:
        """Returns the first value of an expression that is true; fails when none is in so many seconds."""
        end = time.monotonic() + seconds
        while not (value := self.run(expression, seconds)):
            if time.monotonic() > end:
                raise PageError(f"not true within {seconds:g} s: {expression}; errors: {self.errors}")
            time.sleep(0.05)
        return value

    def press(self, key: str, code: int = 0, text: str = "") -> None:
        """Presses and releases a key, such as `Tab` (9), `ArrowRight` (39), `Enter` (13, with the text `\\r`)."""
        about = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", {"type": "keyDown", "text": text} | about)
        self.call("Input.dispatchKeyEvent", {"type": "keyUp"} | about)

    def resize(self, width: int, height: int, phone: bool = False) -> None:
        """Makes the window so large; as a phone shows it, in device pixels of its own."""
        screen = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
        self.call("Emulation.setDeviceMetricsOverride", screen)

    def dark(self, on: bool = True) -> None:
        """Says that the user prefers dark colours, or light ones."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.call("Emulation.setEmulatedMedia", {"features": [feature]})

    def screenshot(self, path: str | Path, whole: bool = True) -> Path:
        """Writes what is seen as PNG; the whole page, also below the window's edge."""
        made = self.call("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole})
        Path(path).write_bytes(base64.b64decode(made["data"]))
        return Path(path)

    def open(self, url: str, seconds: float = _PATIENCE) -> None:
        """Goes to an address and waits until all that the page names is loaded."""
        self._loaded = False
        failed = self.call("Page.navigate", {"url": url}, seconds).get("errorText")
        if failed:
            raise PageError(f"{url}: {failed}")
        end = time.monotonic() + seconds
        while not self._loaded:
            self._hear(end)

    def downloads(self, folder: str | Path) -> None:
        """Lets what the page saves land in a folder."""
        self.call("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)}, browser=True)

    def call(
        self, method: str, about: dict[str, Any] | None = None, seconds: float = _PATIENCE, *, browser: bool = False
    ) -> dict[str, Any]:
        """Returns what a command of the DevTools protocol answers."""
        self._count += 1
        number, message = self._count, {"id": self._count, "method": method, "params": about or {}}
        if self._session and not browser:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + seconds
        while True:
            answer = self._hear(end)
            if answer.get("id") == number:
                if "error" in answer:
                    raise PageError(f"{method}: {answer['error']}")
                return answer["result"]

    def _hear(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready = select.select([self._answers], [], [], max(0.0, end - time.monotonic()))[0]
            piece = os.read(self._answers, 1 << 20) if ready else b""
            if not piece:
                raise PageError(f"Chromium {'ended' if ready else 'did not answer in time'}; errors so far: {self.errors}")
            self._rest += piece
        line, self._rest = self._rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, about: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.errors.append(_of_exception(about["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and about["type"] in ("error", "assert"):
            self.errors.append(" ".join(str(each.get("value", each.get("description", ""))) for each in about["args"]))
        elif event == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.errors.append(f"{about['entry']['text']} {about['entry'].get('url', '')}")

    def _attach(self) -> None:
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")


def _of_exception(details: dict[str, Any]) -> str:
    thrown = details.get("exception", {})
    return str(thrown.get("description") or thrown.get("value") or details.get("text", "an exception"))


@contextlib.contextmanager
def page(url: str, *, width: int = 1200, height: int = 800, phone: bool = False, dark: bool = False) -> Iterator[Page]:
    """Opens an address, `file://..` or `http://..`, in a headless Chromium of its own, which ends with the block.

    Args:
        url: the address.
        width: of the window, in CSS pixels.
        height: likewise.
        phone: shown as by a phone.
        dark: whose user prefers dark colours.
    """
    if PROGRAM is None:
        pytest.skip(MISSING)
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        commands, answers = os.pipe(), os.pipe()
        launch = [sys.executable, "-c", _AS_3_AND_4, str(commands[0]), str(answers[1]), PROGRAM]
        process = subprocess.Popen(
            [*launch, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(commands[0], answers[1]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(commands[0]), os.close(answers[1])
        try:
            opened = Page(commands[1], answers[0])
            opened._attach()
            opened.resize(width, height, phone)
            opened.dark(dark)
            opened.open(url)
            yield opened
        finally:
            os.close(commands[1]), os.close(answers[0])
            _end(process)


def _end(process: "subprocess.Popen[Any]") -> None:
    """Waits for a Chromium whose pipe was closed, which ends it with all its children; kills those that stay."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, 9)
    process.wait(20)


class _Silent(http.server.SimpleHTTPRequestHandler):
    """A folder's files, without a line on stderr for each."""

    def log_message(self, *told: Any) -> None:
        """Says nothing."""


@contextlib.contextmanager
def files(folder: str | Path) -> Iterator[str]:
    """Serves a folder at an address of this machine, `http://127.0.0.1:PORT/`, while the block lasts."""
    handler = functools.partial(_Silent, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()
