"""Chromium, told by its own protocol over two pipes: no driver and no package is needed."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
_SECONDS = 60.0


@dataclass
class Page:
    """One page of a browser.

    Attributes:
        said: what its console said, and errors that nobody caught.
        asked: addresses that it asked for, the page's own first.
    """

    to_browser: Any
    from_browser: Any
    session: str = ""
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    _last: int = 0

    def call(self, method: str, **words: Any) -> dict[str, Any]:
        """Call a method of the protocol; what happens meanwhile is noted."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": words}
        if self.session:
            message["sessionId"] = self.session
        self.to_browser.write(json.dumps(message).encode() + b"\0")
        self.to_browser.flush()
        while True:
            answer = self._next()
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def open(self, path: Path, state: str = "") -> float:
        """Open a file and wait until it is drawn; return the seconds that this took."""
        start = time.monotonic()
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=f"{path.resolve().as_uri()}{state}")
        self.wait("document.body && document.body.dataset.ready")
        return time.monotonic() - start

    def go(self, state: str) -> None:
        """Follow a link within the page."""
        self.value("document.body.dataset.ready = ''")
        self.value(f"location.hash = {json.dumps(state)}")
        self.wait("document.body.dataset.ready")

    def value(self, script: str) -> Any:
        """What an expression gives; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + _SECONDS
        while time.monotonic() < until:
            with suppress(RuntimeError):  # the page before it is gone, and this one not there yet
                if self.value(script):
                    return
            time.sleep(0.02)
        raise TimeoutError(script)

    def press(self, key: str, code: int = 0) -> None:
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)

    def size(self, width: int, height: int) -> None:
        """Make the window so wide and so high, in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def look(self, **features: str) -> None:
        """Set media features, such as `prefers_color_scheme="dark"`."""
        named = [
            {"name": name.replace("_", "-"), "value": value} for name, value in features.items()
        ]
        self.call("Emulation.setEmulatedMedia", features=named)

    def picture(self) -> bytes:
        """A PNG of the window."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _next(self) -> dict[str, Any]:
        letters = bytearray()
        while (letter := self.from_browser.read(1)) != b"\0":
            if not letter:
                raise RuntimeError("the browser has ended")
            letters += letter
        message: dict[str, Any] = json.loads(letters)
        kind, told = message.get("method"), message.get("params", {})
        if kind == "Network.requestWillBeSent":
            self.asked.append(told["request"]["url"])
        elif kind in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.said.append(json.dumps(told)[:500])
        return message


@contextmanager
def opened_page() -> Iterator[Page]:
    """A page of a browser that ends with the block."""
    assert PROGRAM
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        words = [
            PROGRAM,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
            "--remote-debugging-pipe",
        ]
        browser = subprocess.Popen(
            # The browser listens on 3 and answers on 4.
            ["bash", "-c", f'exec "$@" 3<&{in_read} 4>&{out_write}', "chromium", *words],
            pass_fds=(in_read, out_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(in_read)
        os.close(out_write)
        try:
            with os.fdopen(in_write, "wb") as to, os.fdopen(out_read, "rb") as come:
                page = Page(to, come)
                target = page.call("Target.createTarget", url="about:blank")["targetId"]
                attached = page.call("Target.attachToTarget", targetId=target, flatten=True)
                page.session = attached["sessionId"]
                for part in ("Page", "Runtime", "Network", "Log"):
                    page.call(f"{part}.enable")
                yield page
        finally:
            browser.kill()
            browser.wait()


def shown_tables(page: Page) -> list[list[Any]]:
    """Open the table of each panel; of each its query, columns, `column=value`, and rows as text."""
    page.value("document.querySelectorAll('details.rows').forEach((e) => { e.open = true; })")
    page.wait(
        "[...document.querySelectorAll('details.rows')].every((e) => e.querySelector('table'))"
    )
    found: list[list[Any]] = json.loads(
        page.value(
            "JSON.stringify([...document.querySelectorAll('details.rows')].map((each) => "
            "[each.dataset.table, each.dataset.show.split(','), each.dataset.where ?? '',"
            "[...each.querySelectorAll('tbody tr')].map((row) => "
            "[...row.cells].map((cell) => cell.textContent))]))"
        )
    )
    return found
