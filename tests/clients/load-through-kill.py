#!/usr/bin/python3
"""The daemon is killed with -9 in every state of the volume; clients come back, send again what was
not answered, and every byte is right."""

import sys
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from daemon import SEED, Daemon, blank, together
from load import Load

CONFIG = """
[[volume]]
name = "a"
medium = "a.img"
absent_wait = "60s"
journal_limit = "64MiB"
retained_limit = "4MiB"
"""
ROUNDS = 12


def crash(daemon, load):
    with load.outage():
        daemon.kill()
        daemon.start()


def crash_while_present(daemon, load):
    crash(daemon, load)
    daemon.run("wait", "a", "present", "--timeout", "30s")


def crash_while_absent(daemon, load, removal):
    with load.removal():
        daemon.run(removal, "a")
    load.go_on(150)
    crash(daemon, load)
    state = daemon.volume("a")["state"]
    assert state == "absent", f"after a restart with the medium away the volume is {state}"
    load.go_on(100)


def crash_while_replaying(daemon, load, answers):
    doing = daemon.begin("insert", "a", until="inserted")
    load.go_on(answers)
    crash(daemon, load)
    doing.wait()
    bring_back(daemon)


def crash_while_copying(daemon, load, answers):
    """The copy may have come to its end: then the volume is on the other medium already."""
    other = "b.img" if daemon.volume("a")["medium"].endswith("a.img") else "a.img"
    with load.removal():  # if the medium is away after the crash, what is recent may be on it alone
        doing = daemon.begin("swap", "a", other, until="copy-started")
        load.go_on(answers)
        crash(daemon, load)
        doing.wait()
    bring_back(daemon)


def bring_back(daemon):
    if daemon.volume("a")["state"] == "absent":
        daemon.run("insert", "a")
    daemon.run("wait", "a", "present", "--timeout", "30s")


with Daemon(CONFIG, together(blank("a.img", 16), blank("b.img", 16))) as daemon:
    load = Load(daemon.uri("a"), SEED).start()
    for number in range(ROUNDS):
        load.go_on(100)
        crash_while_present(daemon, load)
        load.go_on(100)
        crash_while_absent(daemon, load, "pull" if number % 2 else "eject")
        crash_while_replaying(daemon, load, answers=number % 4 * 10)
        load.go_on(100)
        crash_while_copying(daemon, load, answers=number % 4 * 10)
    load.finish()
    assert load.reconnections > 0, "nobody noticed a crash: the test tests nothing"
    medium = daemon.volume("a")["medium"].rsplit("/")[-1]
    daemon.stop()
    load.compare(daemon.bytes_of(medium), f"the medium {medium}")
