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
retained_limit = "4MiB"

[[volume]]
name = "b"
medium = "b.img"
absent_wait = "60s"
journal_limit = "64MiB"
retained_limit = "4MiB"
"""
ROUNDS = 24  # even: it ends with b in the bay

with Daemon(CONFIG, together(blank("a.img", 16), blank("b.img", 16))) as daemon:
    loads = {"a": Load(daemon.uri("a"), f"{SEED}a", writers=2).start()}
    with loads["a"].removal():
        daemon.run("insert", "b", "--replace")
    loads["b"] = Load(daemon.uri("b"), f"{SEED}b", writers=2).start()

    for number in range(ROUNDS):
        coming, going = ("a", "b") if number % 2 == 0 else ("b", "a")
        for load in loads.values():
            load.go_on(100)
        with loads[going].removal():
            daemon.run("insert", coming, "--replace")

    loads["b"].finish()  # its medium is in, and every byte is read
    daemon.run("insert", "a", "--replace")
    loads["a"].finish()
    daemon.stop()
    for name, load in loads.items():
        load.compare(daemon.bytes_of(f"{name}.img"), f"medium {name}")
