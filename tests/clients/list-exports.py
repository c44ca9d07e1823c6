#!/usr/bin/python3
"""What nbdinfo shows of a drive: its exports, their sizes and what each can do."""

import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from daemon import Daemon, blank, together

CONFIG = """
bays = 1

[[volume]]
name = "a"
medium = "a.img"

[[volume]]
name = "b"
medium = "b.img"
"""


def nbdinfo(*words):
    done = subprocess.run(["nbdinfo", "--json", *words], check=True, capture_output=True, timeout=60)
    return json.loads(done.stdout)


with Daemon(CONFIG, together(blank("a.img", 16), blank("b.img", 8))) as daemon:
    listed = nbdinfo("--list", "--no-content", daemon.uri(""))
    sizes = {export["export-name"]: export["export-size"] for export in listed["exports"]}
    assert sizes == {"a": 16 << 20, "b": 8 << 20}, sizes
    for export in listed["exports"]:
        for ability in ("can_flush", "can_fua", "can_trim", "can_zero", "can_multi_conn"):
            assert export[ability], f"{export['export-name']}: {ability}"
        assert not export["is_read_only"]

    default = nbdinfo("--no-content", daemon.uri(""))["exports"][0]
    assert default["export-size"] == 16 << 20, "the default export is the first volume"
    daemon.stop()
