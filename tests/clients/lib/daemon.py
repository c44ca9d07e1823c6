"""A hotbay daemon in a directory of its own, driven by the same command line a person would use."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
HOTBAY = os.environ.get("HOTBAY", str(TARGET / "release" / "hotbay"))
START_SECONDS = 20
STOP_SECONDS = 30
SEED = os.environ.get("HOTBAY_SEED", "1")


class Daemon:
    """`with Daemon(config) as daemon:`; the directory and the process end with the block.

    Before it starts, `prepare(directory)` may put media there; paths in `config` are relative to it.
    """

    def __init__(self, config, prepare=lambda directory: None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="hotbay-"))
        self.control = self.directory / "control.sock"
        self.socket = self.directory / "nbd.sock"
        self.environment = dict(os.environ, HOTBAY_CONTROL=str(self.control))
        (self.directory / "hotbay.toml").write_text(config)
        prepare(self.directory)
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException as failure:
            self.__exit__(type(failure), failure, None)
            raise
        return self

    def __exit__(self, kind, failure, trace):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if failure is not None:
            log = (self.directory / "log").read_text(errors="replace").splitlines()
            print("the daemon's log ends:", *log[-20:], sep="\n  ", file=sys.stderr)
        shutil.rmtree(self.directory)

    def start(self, *more):
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                [HOTBAY, "serve", "hotbay.toml", "--state", "state", "--control", str(self.control),
                 "--listen", f"unix:{self.socket}", *more],
                cwd=self.directory, env=self.environment, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while self._run("status").returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the daemon did not come up")
            time.sleep(0.02)

    def tcp_place(self):
        """Where it listens on TCP, as it says before it takes commands."""
        said = (self.directory / "log").read_text()
        return "127.0.0.1", int(re.findall(r"listening on tcp:127.0.0.1:(\d+)", said)[-1])

    def kill(self):
        """As a crash would: kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """A clean stop; fails when the daemon calls it anything but a success."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_SECONDS)
        if code != 0:
            raise RuntimeError(f"a clean stop ended with {code}")

    def _run(self, *words):
        return subprocess.run([HOTBAY, *map(str, words)], cwd=self.directory, env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    def run(self, *words):
        """`daemon.run("eject", "a")`; what it printed, or an exception with what it complained of."""
        done = self._run(*words)
        if done.returncode != 0:
            raise RuntimeError(f"hotbay {' '.join(map(str, words))}: {done.returncode}: {done.stderr}")
        return done.stdout

    def begin(self, *words, until):
        """Starts a command and returns in the middle of its work, at the event of that kind."""
        past = len(self.run("events", "--json").splitlines())
        doing = subprocess.Popen([HOTBAY, *words], cwd=self.directory, env=self.environment,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        follow = subprocess.Popen([HOTBAY, "events", "--follow", "--json"], cwd=self.directory,
                                  env=self.environment, stdout=subprocess.PIPE, text=True)
        with follow:
            events = (json.loads(line) for line in follow.stdout)
            arrived = any(e["sequence"] > past and e["kind"] == until for e in events)
            follow.kill()
        if not arrived:
            raise RuntimeError(f"hotbay {' '.join(words)}: no event {until}")
        return doing

    def volume(self, name):
        volumes = json.loads(self.run("status", "--json"))["volumes"]
        return next(volume for volume in volumes if volume["name"] == name)

    def resident_mib(self):
        """How much memory the daemon has."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) // 1024

    def uri(self, export):
        return f"nbd+unix:///{export}?socket={self.socket}"

    def bytes_of(self, name):
        return (self.directory / name).read_bytes()


def blank(name, mebibytes):
    """For `prepare`: an empty medium."""
    def prepare(directory):
        with open(directory / name, "wb") as file:
            file.truncate(mebibytes << 20)
    return prepare


def together(*steps):
    """For `prepare`: several of them."""
    def prepare(directory):
        for step in steps:
            step(directory)
    return prepare


def try_each(rules, server):
    """A failure says which rule it was."""
    for rule in rules:
        try:
            rule(server)
        except Exception as failure:
            raise AssertionError(rule.__name__) from failure


def keeps(rules, config, *media):
    """Tries each rule on one daemon."""
    with Daemon(config, *media) as daemon:
        try_each(rules, daemon)
        daemon.stop()
