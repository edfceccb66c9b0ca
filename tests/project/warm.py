"""Processes that start with everything imported, for tests that need many of them.

One interpreter imports TensorFlow, Keras and the library and computes nothing; each `Process` is a
fork of it. So each has an interpreter to itself, as a fresh one, without the seconds of importing.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile

from tests.project import fresh

_SERVER = """
import contextlib, importlib, json, logging, os, signal, socket, tempfile, traceback

import keras_hub, matplotlib.pyplot, tensorflow_datasets, tensorflow_text
from tatl_keras import data, fusion, layers, serving, training, zoo

logging.getLogger("tensorflow").setLevel(logging.ERROR)  # what it says depends on what ran before

def run_python(namespace, request):
    code = compile("\\n" * (request["line"] - 1) + request["code"], request["name"], "exec")
    exec(code, namespace)

def run_program(namespace, request):
    sys.argv = ["tatl-" + request["program"], *request["arguments"]]
    importlib.import_module("tatl_keras.bin." + request["program"]).run()

def answer(namespace, request):
    error, trace, status = None, "", 0
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as file:
        with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
            try:
                (run_python if "code" in request else run_program)(namespace, request)
            except SystemExit as ended:
                status = int(ended.code or 0)
            except BaseException as raised:
                error = f"{type(raised).__name__}: {raised}"
                trace = traceback.format_exc()
        file.seek(0)
        return {"output": file.read(), "error": error, "trace": trace, "status": status}

def serve(connection):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with connection, connection.makefile("rw", encoding="utf-8") as file:
        namespace = {"__name__": "__main__"}
        start = json.loads(file.readline())
        os.chdir(start["cwd"])
        os.environ.update(start["environment"])
        sys.path.insert(0, "")
        print(json.dumps({"pid": os.getpid()}), file=file, flush=True)
        for line in file:
            print(json.dumps(answer(namespace, json.loads(line))), file=file, flush=True)

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
control = socket.socket(fileno=int(sys.argv[1]))
while True:
    _, handles, _, _ = socket.recv_fds(control, 1, 1)
    if not handles:
        break
    if os.fork() == 0:
        control.close()
        status = 1
        try:
            serve(socket.socket(fileno=handles[0]))
            status = 0
        finally:
            os._exit(status)
    os.close(handles[0])
"""


@contextlib.contextmanager
def interpreter():
    """A function `start(cwd, **environment)` that gives a new `Process`."""
    ours, theirs = socket.socketpair()
    log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
    command = [sys.executable, "-c", fresh.GUARD + _SERVER, str(theirs.fileno())]
    server = subprocess.Popen(
        command, env=fresh.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        pass_fds=[theirs.fileno()],
    )  # fmt: skip
    theirs.close()

    def start(cwd, **environment):
        end, given = socket.socketpair()
        with given:
            socket.send_fds(ours, [b"."], [given.fileno()])
        return Process(end, log, {"cwd": str(cwd), "environment": environment})

    with log, ours:
        try:
            yield start
        finally:
            ours.close()
            server.wait(timeout=60)


class Process:
    """A fork: runs snippets of Python in one namespace, or a program, and ends when closed.

    Args:
        connection: socket whose other end the fork reads.
        log: what the interpreter and its forks wrote past their answers.
        started: dict of `cwd` and `environment`.
    """

    def __init__(self, connection, log, started, timeout=600):
        connection.settimeout(timeout)
        self._connection, self._log = connection, log
        self._file = connection.makefile("rw", encoding="utf-8")
        self._pid = self._ask(started)["pid"]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._file.close()
        self._connection.close()

    def run(self, code, name="snippet", line=1):
        """Executes Python code; `line` is its place in the file `name`.

        Returns:
            A dict of `output` (what it printed), `error` ("ValueError: …" or `None`), `trace` and
            `status`.
        """
        return self._ask({"code": code, "name": name, "line": line})

    def run_program(self, program, arguments):
        """Runs `tatl-<program>`, once; returns as `run`."""
        return self._ask({"program": program, "arguments": arguments})

    def _ask(self, request):
        try:
            print(json.dumps(request), file=self._file, flush=True)
            answer = self._file.readline()
        except TimeoutError:
            os.kill(self._pid, signal.SIGKILL)
            raise
        if not answer:
            self._log.seek(0)
            raise RuntimeError(f"the process ended:\n{self._log.read()[-4000:]}")
        return json.loads(answer)
