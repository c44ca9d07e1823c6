#!/usr/bin/python3
"""nbdinfo, qemu-img and nbdcopy over an export with holes, with its medium and without: each shows what it can, and copies come
out equal. qemu's clients agree upon extended headers."""

import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from daemon import Daemon, blank
from load import MIB

import nbd

CONFIG = """
[[volume]]
name = "a"
medium = "a.img"
"""
SIZE = 64 * MIB


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def infos(uri):
    """What nbdinfo --map shows: (offset, length, description or number)."""
    def of(context):
        extents = json.loads(run("nbdinfo", "--json", f"--map={context}", uri))
        return [(e["offset"], e["length"], e["type"]) for e in extents]
    return of


with Daemon(CONFIG, blank("a.img", 64)) as daemon:
    uri = daemon.uri("a")
    handle = nbd.NBD()
    handle.connect_uri(uri)
    assert handle.get_structured_replies_negotiated() and handle.can_df()
    handle.pwrite(b"\x5a" * MIB, 8 * MIB)
    show = infos(uri)
    assert show("base:allocation") == [(0, 8 * MIB, 3), (8 * MIB, MIB, 0), (9 * MIB, 55 * MIB, 3)]
    assert show("qemu:dirty-bitmap:journal") == [(0, SIZE, 0)]
    about = json.loads(run("nbdinfo", "--json", uri))["exports"][0]
    assert set(about["contexts"]) == {"base:allocation", "qemu:dirty-bitmap:journal", "x-hotbay:place"}
    mapped = json.loads(run("qemu-img", "map", "-f", "raw", "--output=json", uri))
    assert [(e["start"], e["length"], e["zero"]) for e in mapped] == \
        [(0, 8 * MIB, True), (8 * MIB, MIB, False), (9 * MIB, 55 * MIB, True)]

    daemon.run("eject", "a")
    handle.pwrite(b"\x77" * MIB, 16 * MIB)
    handle.zero(MIB, 17 * MIB)
    assert show("qemu:dirty-bitmap:journal") == \
        [(0, 16 * MIB, 0), (16 * MIB, 2 * MIB, 1), (18 * MIB, 46 * MIB, 0)]
    assert show("x-hotbay:place") == \
        [(0, 16 * MIB, 2), (16 * MIB, 2 * MIB, 1), (18 * MIB, 46 * MIB, 2)]
    assert show("base:allocation")[1] == (17 * MIB, MIB, 3)
    daemon.run("insert", "a")
    daemon.run("wait", "a", "present")

    for copy in (["qemu-img", "convert", "-f", "raw", "-O", "raw", uri, "copy.img"],
                 ["nbdcopy", uri, "copy.img"]):
        copied = daemon.directory / "copy.img"
        copied.unlink(missing_ok=True)
        if copy[0] == "nbdcopy":
            copied.touch()
        run(*(str(copied) if word == "copy.img" else word for word in copy))
        assert copied.read_bytes() == handle.pread(32 * MIB, 0) + handle.pread(32 * MIB, 32 * MIB)
        assert copied.stat().st_blocks * 512 < 8 * MIB, "holes were copied as bytes"
    run("qemu-img", "compare", "-f", "raw", "-F", "raw", uri, str(copied))
    run("nbdcopy", str(copied), uri)
    run("qemu-img", "bench", "-f", "raw", "-c", "100", "-d", "8", uri)
    daemon.stop()
