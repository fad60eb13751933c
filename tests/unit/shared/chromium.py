"""A real Chromium without a window, driven through its DevTools protocol over a pipe: no port, no library, no driver."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_S = 60.0


def find_chromium() -> str | None:
    """The browser's path; None where none is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """A page of the browser, and everything that it reported since it was opened."""

    def __init__(self, receive: int, send: int) -> None:
        self._receive, self._send = receive, send
        self._rest, self._last = b"", 0
        self._session = ""
        self.events: list[dict[str, Any]] = []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Inspector"):
            self(f"{domain}.enable")
        self("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True)

    def __call__(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, for this page or for the session of a frame that has a process of its own."""
        self._last += 1
        about = {"sessionId": session or self._session} if self._session else {}
        message = {"id": self._last, "method": method, "params": parameters} | about
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            found = self._read()
            if found.get("id") == self._last:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']}")
                return found["result"]
            self.events.append(found)

    def _read(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE_S
        while b"\0" not in self._rest:
            if not select.select([self._receive], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            found = os.read(self._receive, 1 << 20)
            if not found:
                raise EOFError("the browser has ended")
            self._rest += found
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, url: str, width_px: int, height_px: int = 900, dark: bool = False, still: bool = False) -> None:
        """Open a page, and wait until it is loaded.

        Args:
            url: Its address.
            width_px: Of the window; below 500 it is a phone's, which is touched.
            height_px: Of the window.
            dark: Whether the user wants dark colours.
            still: Whether the user wants no movement.
        """
        wanted = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce" if still else ""}
        self("Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in wanted.items()])
        phone = width_px < 500
        self("Emulation.setDeviceMetricsOverride", width=width_px, height=height_px, deviceScaleFactor=1, mobile=phone)
        self("Emulation.setTouchEmulationEnabled", enabled=phone)
        self.events.clear()
        self("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def frames(self) -> list[str]:
        """The sessions of frames that have processes of their own; from now on, these report too, from their beginning."""
        found = [e["params"]["sessionId"] for e in self.events if e.get("method") == "Target.attachedToTarget"]
        for session in found:
            for domain in ("Runtime", "Log", "Network"):
                self(f"{domain}.enable", session)
        return found

    def evaluate(self, expression: str, session: str = "") -> Any:
        """The value of a JavaScript expression in the page, or in a frame."""
        found = self("Runtime.evaluate", session, expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"])
        return found["result"].get("value")

    def press(self, key: str, code: int, **further: Any) -> None:
        """Press and release a key; `commands` are what an editor does at it, since the browser alone does nothing."""
        text = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 and not further else {}
        for kind in ("keyDown", "keyUp"):
            parameters = text | (further if kind == "keyDown" else {})
            self("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **parameters)

    def type(self, text: str) -> None:
        """Write a text where the focus is."""
        self("Input.insertText", text=text)

    def click(self, x_px: float, y_px: float) -> None:
        """Click with the mouse on a pixel of the window."""
        self("Input.dispatchMouseEvent", type="mouseMoved", x=x_px, y=y_px)
        for kind in ("mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, x=x_px, y=y_px, button="left", clickCount=1)

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 8) -> None:
        """Drag with the mouse from a pixel of the window to another."""
        self("Input.dispatchMouseEvent", type="mouseMoved", x=start[0], y=start[1])
        self("Input.dispatchMouseEvent", type="mousePressed", x=start[0], y=start[1], button="left", clickCount=1)
        for i in range(1, steps + 1):
            x, y = (a + (b - a) * i / steps for a, b in zip(start, end, strict=True))
            self("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, button="left", buttons=1)
        self("Input.dispatchMouseEvent", type="mouseReleased", x=end[0], y=end[1], button="left", clickCount=1)

    def touch(self, kind: str, *points: tuple[float, float]) -> None:
        """Fingers on pixels of the window: touchStart, touchMove or touchEnd."""
        fingers = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        self("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)

    def wheel(self, x_px: float, y_px: float, delta: float) -> None:
        """Turn the mouse's wheel over a pixel of the window; towards the user is positive."""
        self("Input.dispatchMouseEvent", type="mouseWheel", x=x_px, y=y_px, deltaX=0, deltaY=delta)

    def choose(self, selector: str, *paths: Path) -> None:
        """Give files to an input, as its dialogue does."""
        found = self("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")["result"]
        self("DOM.setFileInputFiles", files=[str(path) for path in paths], objectId=found["objectId"])

    def drop(self, x_px: float, y_px: float, *paths: Path) -> None:
        """Drag files from the desktop onto a pixel of the window."""
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self("Input.dispatchDragEvent", type=kind, x=x_px, y=y_px, data=data)

    def wait(self, expression: str, seconds: float = 60.0) -> Any:
        """The value of a JavaScript expression in the page as soon as it is true; an error if it does not get so."""
        until = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            if time.monotonic() > until:
                raise TimeoutError(f"not within {seconds:.0f} s: {expression}")
            time.sleep(0.05)
        return value

    def screenshot(self, path: Path, whole: bool = True) -> None:
        """Write a PNG of the page."""
        found = self("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    @property
    def requested(self) -> list[str]:
        """Addresses that the page asked the network for; its own, and what it holds itself, are not among them."""
        urls = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [url for url in urls[1:] if not url.startswith("data:")]

    @property
    def complaints(self) -> list[str]:
        """Everything on the console, exceptions included."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Inspector.targetCrashed")
        return [json.dumps(event["params"])[:600] for event in self.events if event.get("method") in kinds]


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Tab]:
    """A browser with one tab, which ends with the block.

    Args:
        profile: Folder for the browser's own files.
    """
    to_read, from_browser = os.pipe()
    to_browser, to_send = os.pipe()
    command = [
        find_chromium() or "chromium", "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}",
        "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--no-sandbox", "about:blank",
    ]  # fmt: skip
    # Without its sandbox, for which many containers lack the rights: the pages are the tests' own, and nothing else is opened.
    shell = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'  # the browser reads from 3 and writes to 4
    process = subprocess.Popen(
        ["bash", "-c", shell, "bash", *command], pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env=os.environ | {"HOME": str(profile)}, start_new_session=True,
    )  # fmt: skip
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Tab(to_read, to_send)
    finally:
        os.close(to_send)  # which ends it
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(to_read)
