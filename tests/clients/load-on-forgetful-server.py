#!/usr/bin/python3
"""A remote medium whose server has a write-back cache and is killed in mid-write, again and again: it forgets what it was not
told to flush. No client ever flushed, and no byte that was acknowledged is missing."""

import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from daemon import SEED, Daemon, blank
from load import Load

CONFIG = """
[[volume]]
name = "a"
medium = "nbd+unix:///?socket=server.sock"
auto_insert = false
absent_wait = "60s"
retained_limit = "64MiB"
journal_limit = "512MiB"
"""
ROUNDS = int(os.environ.get("HOTBAY_KILLS") or (100 if os.environ.get("CI") else 12))
START_SECONDS = 20


class Server:
    """nbdkit on `a.img`, started again by each `start`."""

    def __init__(self, directory):
        self.directory = directory
        self.process = None

    def start(self):
        socket = self.directory / "server.sock"
        socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["nbdkit", "--foreground", "--exit-with-parent", "--unix", socket, "--filter=cache",
             "file", self.directory / "a.img", "cache=writeback"])
        deadline = time.monotonic() + START_SECONDS
        uri = f"nbd+unix:///?socket={socket}"
        while subprocess.run(["nbdinfo", "--size", uri], capture_output=True).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("nbdkit did not come up")
            time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()


def begin(directory):
    blank("a.img", 16)(directory)
    server.directory = directory
    server.start()


server = Server(None)
try:
    with Daemon(CONFIG, begin) as daemon:
        for number in range(ROUNDS):
            load = Load(daemon.uri("a"), f"{SEED}.{number}", syncs=False).start()
            load.go_on(150)
            with load.removal():
                server.kill()
                daemon.run("wait", "a", "absent", "--timeout", "30s")
            load.go_on(100)
            server.start()
            daemon.run("insert", "a")
            load.go_on(50)
            load.finish()
            daemon.run("wait", "a", "present", "--timeout", "30s")
        daemon.stop()
        load.compare(daemon.bytes_of("a.img"), "the medium")
finally:
    server.kill()
