"""Fresh interpreters that refuse the network: what a user's first command meets."""

import os
import subprocess
import sys

from tests.project import source

GUARD = """
import sys

def _refuse(event, args):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
    elif event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in (None, "", "localhost", "::1") and not host.startswith("127."):
        raise OSError(f"no network in tests: {event} {args}")

sys.addaudithook(_refuse)
"""


def environment(**extra):
    return {**os.environ, "PYTHONPATH": str(source.REPO), **extra}


def run(code, *args, cwd=source.REPO, timeout=600):
    """Runs Python code with the given command line; gives what it printed, fails if it failed."""
    command = [sys.executable, "-c", GUARD + code, *map(str, args)]
    return finish(command, cwd, timeout)


def finish(command, cwd, timeout=600, env=None):
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, (done.stdout[-2000:] + done.stderr[-4000:]).strip()
    return done.stdout


def program(name):
    """Code that runs a console script under its own name, as an installed one would."""
    return f"sys.argv[0] = 'tatl-{name}'\nfrom tatl_keras.bin.{name} import run\nrun()\n"
