#!/usr/bin/python3
"""Every byte is right while a live disk moves round three media, onto what the one before the last
still holds of it, and is torn out in between."""

import sys
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from daemon import SEED, Daemon, blank, together
from load import Load

CONFIG = """
[[volume]]
name = "a"
medium = "0.img"
absent_wait = "60s"
journal_limit = "64MiB"
retained_limit = "4MiB"
"""
MOVES = 31

with Daemon(CONFIG, together(*(blank(f"{n}.img", 16) for n in range(3)))) as daemon:
    daemon.run("wait", "a", "present")
    load = Load(daemon.uri("a"), SEED).start()
    for number in range(1, MOVES + 1):
        load.go_on(150)
        daemon.run("swap", "a", f"{number % 3}.img")
        load.go_on(100)
        with load.removal():
            daemon.run("pull", "a")
        load.go_on(100)
        daemon.run("insert", "a")
    load.finish()
    assert load.reconnections == 0, "a client noticed"
    daemon.stop()
    load.compare(daemon.bytes_of(f"{MOVES % 3}.img"), "the last medium")
