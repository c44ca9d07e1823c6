#!/usr/bin/python3
"""The daemon is killed with -9 in every state of the volume; clients come back, send again what was
not answered, and every byte is right."""

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
ROUNDS = 6


def crash(daemon, load):
    with load.outage():
        daemon.kill()
        daemon.start()


with Daemon(CONFIG, blank("a.img", 16)) as daemon:
    load = Load(daemon.uri("a"), SEED).start()
    for number in range(ROUNDS):
        load.go_on(150)
        crash(daemon, load)  # with its medium in
        daemon.run("wait", "a", "present", "--timeout", "30s")
        load.go_on(100)
        with load.removal():
            daemon.run("pull" if number % 2 else "eject", "a")
        load.go_on(150)
        crash(daemon, load)  # with its medium away
        state = daemon.volume("a")["state"]
        assert state == "absent", f"after a restart with the medium away the volume is {state}"
        load.go_on(100)
        daemon.run("insert", "a")
    load.finish()
    assert load.reconnections > 0, "nobody noticed a crash: the test tests nothing"
    daemon.stop()
    load.compare(daemon.bytes_of("a.img"), "the medium")
