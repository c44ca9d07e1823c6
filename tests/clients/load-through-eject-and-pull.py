#!/usr/bin/python3
"""Every byte is right through ejects, surprise removals and inserts, reads that wait included."""

import sys
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from daemon import SEED, Daemon, blank
from load import Load

CONFIG = """
[[volume]]
name = "a"
medium = "a.img"
absent_wait = "60s"
journal_limit = "64MiB"
retained_limit = "4MiB"
"""
ROUNDS = 40

with Daemon(CONFIG, blank("a.img", 16)) as daemon:
    load = Load(daemon.uri("a"), SEED).start()
    for number in range(ROUNDS):
        load.go_on(150)
        with load.removal():
            daemon.run("pull" if number % 3 else "eject", "a")
        load.go_on(150)
        daemon.run("insert", "a")
    load.go_on(150)
    load.finish()
    assert load.reconnections == 0, "a client noticed"
    daemon.stop()
    load.compare(daemon.bytes_of("a.img"), "the medium")
