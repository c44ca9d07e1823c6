#!/usr/bin/python3
"""Requests of 64 MiB, as qemu-io sends them, and the largest that libnbd sends, in every state."""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from daemon import Daemon, blank

CONFIG = """
[[volume]]
name = "a"
medium = "a.img"
journal_limit = "256MiB"
"""


def qemu_io(uri, *commands):
    words = ["qemu-io", "-f", "raw"]
    for command in commands:
        words += ["-c", command]
    subprocess.run([*words, uri], check=True, stdout=subprocess.DEVNULL, timeout=60)


with Daemon(CONFIG, blank("a.img", 80)) as daemon:
    uri = daemon.uri("a")
    qemu_io(uri, "write -P 0x11 0 32M", "read -P 0x11 0 32M", "write -P 0x12 1M 64M",
            "read -P 0x12 1M 64M", "write -z 8M 64M", "read -P 0 8M 64M")
    daemon.run("eject", "a")
    qemu_io(uri, "write -P 0x21 3M 64M", "read -P 0x21 3M 64M", "write -z 40M 32M",
            "read -P 0 40M 32M", "discard 72M 8M", "flush")
    daemon.run("insert", "a")
    qemu_io(uri, "read -P 0x11 0 1M", "read -P 0x12 1M 2M", "read -P 0x21 3M 37M", "read -P 0 40M 32M")
    daemon.stop()
    medium = daemon.bytes_of("a.img")
    mib = 1 << 20
    assert medium[:mib] == b"\x11" * mib
    assert medium[mib:3 * mib] == b"\x12" * 2 * mib
    assert medium[3 * mib:40 * mib] == b"\x21" * 37 * mib
    assert medium[40 * mib:72 * mib] == bytes(32 * mib)
