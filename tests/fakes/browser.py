"""A real browser for the tests of pages: Debian's Chromium, without a window, steered over a pair of pipes.

Chromium speaks its DevTools protocol (chromedevtools.github.io/devtools-protocol) on the descriptors 3 and 4 when it is started with
``--remote-debugging-pipe``: JSON, each message ended by a zero byte. No port is opened and no library is needed. No name of a host can be
resolved, so that a page that asks for something elsewhere gets nothing, and the test sees that it asked.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import gzip
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

AXE = Path(__file__).parents[1] / "data/axe-core/axe.min.js.gz"
NAMES = ("chromium", "chromium-browser", "google-chrome")
# Set by .ci/run: there a browser has to be, elsewhere its tests skip without one.
REQUIRED = os.environ.get("BROWSER_TESTS") == "required"
# A machine that does ten other things at once starts it within this time.
PATIENCE_S = 90.0

_OPTIONS = (
    "--headless",
    "--no-sandbox",  # as root it has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe",
)

# Its ends of both pipes become 3 and 4, whatever numbers they had.
_LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
os.dup2(ends[0], 3)
os.dup2(ends[1], 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def path() -> str | None:
    """Where the browser lies; None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One running browser. ``page()`` opens a new, empty page that shares nothing with the others."""

    def __init__(self) -> None:
        program = path()
        assert program is not None
        self._home = tempfile.mkdtemp(prefix="browser-")
        hears, self._to = os.pipe()
        self._from, says = os.pipe()
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                _LAUNCH,
                str(hears),
                str(says),
                program,
                *_OPTIONS,
                f"--user-data-dir={self._home}",
            ],
            pass_fds=(hears, says),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "HOME": self._home},
        )
        os.close(hears)
        os.close(says)
        self._rest = b""
        self._number = 0
        self._pages: dict[str, Page] = {}

    def page(self, *, width: int = 1000, height: int = 800) -> Page:
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        found = Page(self, session, context)
        self._pages[session] = found
        for domain in ("Page", "Runtime", "Network", "Log"):
            found.ask(f"{domain}.enable")
        found.resize(width, height)
        return found

    def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Sends one command and waits for its answer; what happens meanwhile is told to the pages."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params}
        content = json.dumps({**message, "sessionId": session} if session else message).encode() + b"\0"
        while content:
            content = content[os.write(self._to, content) :]
        until = time.monotonic() + PATIENCE_S
        while True:
            answer = self.hear(until)
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result

    def hear(self, until: float) -> dict[str, Any]:
        """The next message of the browser's."""
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], max(until - time.monotonic(), 0))
            assert ready, "the browser does not answer"
            content = os.read(self._from, 1 << 20)
            assert content, "the browser has ended"
            self._rest += content
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        page = self._pages.get(message.get("sessionId", ""))
        if page is not None and "method" in message:
            page.happened(message["method"], message["params"])
        return message

    def forget(self, page: Page) -> None:
        self._pages.pop(page.session, None)
        self.ask("Target.disposeBrowserContext", browserContextId=page.context)

    def close(self) -> None:
        os.close(self._to)
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
        finally:
            # What it started is in its own group, which ends with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            os.close(self._from)
            shutil.rmtree(self._home, ignore_errors=True)


class Page:
    """One page. ``errors``: what its console and the browser complained of; ``requests``: all addresses that it asked for."""

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self.browser, self.session, self.context = browser, session, context
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self._loaded = False
        self._last_key = 0

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self.browser.forget(self)

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.ask(method, self.session, **params)

    def happened(self, method: str, told: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(told["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(told["args"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.errors.append(told["entry"]["text"])
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(told["message"])

    def open(self, where: Path | str) -> None:
        """Opens a file or an address, and waits until all of it is loaded."""
        address = where.resolve().as_uri() if isinstance(where, Path) else where
        self._loaded = False
        told = self.ask("Page.navigate", url=address)
        assert "errorText" not in told, f"{address}: {told['errorText']}"
        until = time.monotonic() + PATIENCE_S
        while not self._loaded:
            self.browser.hear(until)

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        told = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, json.dumps(told["exceptionDetails"])[:2000]
        return told["result"].get("value")

    def press(self, *keys: str) -> None:
        """Keys as a person presses them, by their names: ``Tab``, ``Enter``, ``Space``, ``ArrowDown``, ``Shift+Tab``, ``a``."""
        for key in keys:
            shift, _, name = key.rpartition("+")
            code, text = _KEYS.get(name, (ord(name.upper()[0]), name))
            told = {
                "key": " " if name == "Space" else name,
                "code": name,
                "windowsVirtualKeyCode": code,
                "modifiers": 8 if shift == "Shift" else 0,
            }
            self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **told)
            self.ask("Input.dispatchKeyEvent", type="keyUp", **told)

    def focused(self) -> str:
        """The words of what has the focus."""
        return str(self.run("(document.activeElement.innerText || document.activeElement.tagName).trim()"))

    def resize(self, width: int, height: int, *, density: float = 1.0) -> None:
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=density,
            mobile=False,
        )

    def prefers(self, *, scheme: str = "light", media: str = "", **features: str) -> None:
        """What a reader's machine is set to: ``scheme='dark'``, ``media='print'``, ``forced_colors='active'``."""
        wanted = {
            "prefers-color-scheme": scheme,
            **{name.replace("_", "-"): value for name, value in features.items()},
        }
        self.ask(
            "Emulation.setEmulatedMedia",
            media=media,
            features=[{"name": name, "value": value} for name, value in wanted.items()],
        )

    def without_script(self) -> None:
        """From the next opening on no script of the page runs; ``run`` still does."""
        self.ask("Emulation.setScriptExecutionDisabled", value=True)

    def in_grey(self) -> None:
        """As who sees no colours sees it."""
        self.ask("Emulation.setEmulatedVisionDeficiency", type="achromatopsia")

    def screenshot(self, *, whole: bool = False) -> bytes:
        """A PNG of what is seen, or of the whole page."""
        return base64.b64decode(self.ask("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def pdf(self) -> bytes:
        """As it is printed, on A4."""
        told = self.ask("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=False)
        return base64.b64decode(told["data"])

    def asked_elsewhere(self) -> list[str]:
        """What was asked for that is neither a file, nor part of the page, nor of this machine."""
        return [
            address
            for address in self.requests
            if urlsplit(address).scheme not in ("file", "data", "blob", "about")
            and urlsplit(address).hostname != "127.0.0.1"
        ]

    def violations(self) -> list[str]:
        """What axe-core finds of WCAG 2.2 A and AA and of good practice: rule, how it is mended, and where."""
        self.run(_axe())
        found = self.run("axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)")
        return [
            f"{one['id']}: {one['help']}: {node['html'][:200]} ({node.get('failureSummary', '')})"
            for one in found
            for node in one["nodes"]
        ]


_KEYS = {
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    "Space": (32, " "),
    "Escape": (27, ""),
    "Home": (36, ""),
    "End": (35, ""),
    "ArrowLeft": (37, ""),
    "ArrowUp": (38, ""),
    "ArrowRight": (39, ""),
    "ArrowDown": (40, ""),
}


@functools.cache
def _axe() -> str:
    return gzip.decompress(AXE.read_bytes()).decode()
