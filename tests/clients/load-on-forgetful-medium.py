#!/usr/bin/python3
"""A medium that is torn out in mid-write and has forgotten everything since its last sync: no client
ever flushed, and no byte that was acknowledged is missing."""

import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from daemon import SEED, Daemon, blank
from load import Load

CONFIG = """
[[volume]]
name = "a"
medium = "a.img"
absent_wait = "60s"
retained_limit = "64MiB"
journal_limit = "512MiB"
"""
ROUNDS = 20

with Daemon(CONFIG, blank("a.img", 16)) as daemon:
    medium, synced = daemon.directory / "a.img", daemon.directory / "synced.img"
    for number in range(ROUNDS):
        daemon.run("eject", "a")
        shutil.copyfile(medium, synced)
        daemon.run("insert", "a")
        load = Load(daemon.uri("a"), f"{SEED}.{number}", syncs=False).start()
        load.go_on(150)
        with load.removal():
            daemon.run("pull", "a")
        shutil.copyfile(synced, medium)
        load.go_on(100)
        daemon.run("insert", "a")
        load.go_on(50)
        load.finish()
    daemon.stop()
    load.compare(daemon.bytes_of("a.img"), "the medium")
