"""A real browser for tests: Chromium without a window, driven over a pipe with the DevTools
protocol. Nothing beyond the standard library is needed."""

import json
import os
import shutil
import subprocess
from pathlib import Path

OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-sync", "--disable-background-networking", "--disable-component-update",
    "--hide-scrollbars", "--remote-debugging-pipe",
]  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def found() -> str | None:
    """Where Chromium is; none where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of one browser, with every event that it reports."""

    def __init__(self, binary: str, profile: Path) -> None:
        into, self._write = os.pipe()
        self._read, out = os.pipe()
        # DevTools reads from descriptor 3 and writes to descriptor 4.
        shell = f'exec 3<&{into} 4>&{out}; exec "$0" "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, binary, *OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(into, out),
            stderr=subprocess.DEVNULL,
        )
        os.close(into)
        os.close(out)
        self._held = b""
        self._number = 0
        self._session = ""
        self.events: list[dict] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Network", "Runtime", "Log", "Audits"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params) -> dict:
        """Send a command and wait for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url: str) -> None:
        """Load a page and wait until all of it is there."""
        self.events.clear()
        self.ask("Page.navigate", url=url)
        while not self.seen("Page.loadEventFired"):
            self._next()
        # Two frames later everything that loading sets off has been set off.
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, script: str):
        """The value of a script in the page, whatever its security policy."""
        answer = self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def look(self, width: int, *, dark: bool = False, height: int = 800) -> None:
        """Make the window so wide, in light or dark."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def seen(self, method: str) -> list[dict]:
        """What the page reported of this kind since it was opened."""
        return [event["params"] for event in self.events if event["method"] == method]

    def close(self) -> None:
        """End the browser."""
        os.close(self._write)
        self._process.terminate()
        self._process.wait(timeout=30)
        os.close(self._read)

    def _next(self) -> dict:
        while b"\0" not in self._held:
            part = os.read(self._read, 1 << 16)
            assert part, "the browser has ended"
            self._held += part
        line, self._held = self._held.split(b"\0", 1)
        message = json.loads(line)
        if "method" in message:
            self.events.append(message)
            if message["method"] == "Page.javascriptDialogOpening":
                self._answer_dialog()
        return message

    def _answer_dialog(self) -> None:
        """A dialog stops the page: it is noted among the events, and closed."""
        self._number += 1
        message = {
            "id": self._number, "method": "Page.handleJavaScriptDialog",
            "params": {"accept": False}, "sessionId": self._session,
        }  # fmt: skip
        os.write(self._write, json.dumps(message).encode() + b"\0")
