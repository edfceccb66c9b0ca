"""A real browser without a window, spoken to over its DevTools protocol through two pipes.

The protocol is JSON, each message ended by a zero byte; https://chromedevtools.github.io/devtools-
protocol. No package is needed, no port is opened.
"""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PATIENCE = 60  # seconds
# The browser reads descriptor 3 and writes descriptor 4.
_START = """
import fcntl, os, sys
for number, given in [(n, fcntl.fcntl(int(a), fcntl.F_DUPFD, 10)) for n, a in
                      zip((3, 4), sys.argv[1:3])]:
    os.dup2(given, number)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find():
    """The path of a browser on this machine, or `None`."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A running browser.

    Args:
        path: its program.
    """

    def __init__(self, path):
        self._profile = tempfile.mkdtemp(prefix="tatl_keras_browser_")
        from_us, self._out = os.pipe()
        self._in, to_us = os.pipe()
        words = [
            path, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={self._profile}",
            "--no-first-run", "--no-default-browser-check", "--disable-gpu", "--disable-extensions",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
        ]  # fmt: skip
        self._stderr = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-ISc", _START, str(from_us), str(to_us), *words],
            pass_fds=(from_us, to_us), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=self._stderr, start_new_session=True,
        )  # fmt: skip
        os.close(from_us)
        os.close(to_us)
        self._numbers, self._held, self.events = itertools.count(1), b"", []
        target = self.send("Target.createTarget", {"url": "about:blank"}, None)["targetId"]
        attached = self.send("Target.attachToTarget", {"targetId": target, "flatten": True}, None)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method, parameters=None, session=""):
        """Asks for something and waits for the answer; what happens meanwhile is in `events`."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters or {}}
        if session is not None:
            message["sessionId"] = session or self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def open(self, path, width, height=900):
        """Shows a file on a screen of so many pixels; returns the `Page`."""
        mobile = width < 600
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.send("Emulation.setDeviceMetricsOverride", screen)
        self.events = []
        self.send("Page.navigate", {"url": f"file://{os.path.abspath(path)}"})
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())
        return Page(self)

    def close(self):
        """Ends the browser and removes what it wrote."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._stderr.close()
        shutil.rmtree(self._profile, ignore_errors=True)

    def _receive(self):
        until = time.monotonic() + _PATIENCE
        while b"\0" not in self._held:
            ready, _, _ = select.select([self._in], [], [], until - time.monotonic())
            part = os.read(self._in, 1 << 20) if ready else b""
            assert part, f"the browser does not answer: {self._last_words()}"
            self._held += part
        message, _, self._held = self._held.partition(b"\0")
        return json.loads(message)

    def _last_words(self):
        self._stderr.seek(0)
        return self._stderr.read()[-2000:].decode(errors="replace")


class Page:
    """What a browser shows now.

    Args:
        browser: the `Browser`.
    """

    def __init__(self, browser):
        self._browser = browser

    def ask(self, script):
        """The value of some JavaScript, a promise's when it is one; the page's policy stands."""
        options = {"expression": script, "returnByValue": True, "awaitPromise": True}
        answer = self._browser.send("Runtime.evaluate", options)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self):
        """The whole page, bytes of a PNG file."""
        options = {"format": "png", "captureBeyondViewport": True}
        return base64.b64decode(self._browser.send("Page.captureScreenshot", options)["data"])

    @property
    def complaints(self):
        """What the browser had to say: errors and warnings of the console, and exceptions."""
        found = []
        for event in self._browser.events:
            values = event.get("params", {})
            if event.get("method") == "Log.entryAdded":
                found.append(values["entry"]["text"])
            elif event.get("method") == "Runtime.exceptionThrown":
                found.append(values["exceptionDetails"]["text"])
            elif event.get("method") == "Runtime.consoleAPICalled":
                found.append(str(values["args"]))
        return found

    @property
    def requests(self):
        """Addresses that were asked for, the page itself and pictures inside it aside."""
        asked = [
            event["params"]["request"]["url"]
            for event in self._browser.events
            if event.get("method") == "Network.requestWillBeSent"
            and event["params"].get("type") != "Document"
        ]
        return [address for address in asked if not address.startswith("data:")]
