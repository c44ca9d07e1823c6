#!/usr/bin/python3
"""One bay, two disks that change places under two loads; readers of either wait for theirs."""

import sys
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from daemon import SEED, Daemon, blank, together
from load import Load

CONFIG = """
bays = 1

[[volume]]
name = "a"
medium = "a.img"
absent_wait = "60s"
journal_limit = "64MiB"

[[volume]]
name = "b"
medium = "b.img"
absent_wait = "60s"
journal_limit = "64MiB"
"""
ROUNDS = 6

with Daemon(CONFIG, together(blank("a.img", 16), blank("b.img", 16))) as daemon:
    loads = {}
    for name in ("a", "b"):  # each is read once from end to end when its load begins
        daemon.run("insert", name, "--replace")
        loads[name] = Load(daemon.uri(name), f"{SEED}{name}", writers=2).start()
    for number in range(ROUNDS):
        coming, going = ("a", "b") if number % 2 == 0 else ("b", "a")
        for load in loads.values():
            load.go_on(100)
        loads[going].forget_recent()
        daemon.run("insert", coming, "--replace")
    for name in ("a", "b"):
        for load in loads.values():
            load.go_on(50)
    for name, load in loads.items():
        if daemon.volume(name)["state"] != "present":
            other = "b" if name == "a" else "a"
            loads[other].forget_recent()
            daemon.run("insert", name, "--replace")
        load.finish()
    daemon.stop()
    for name, load in loads.items():
        load.compare(daemon.bytes_of(f"{name}.img"), f"medium {name}")
