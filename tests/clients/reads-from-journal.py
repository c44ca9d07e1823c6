#!/usr/bin/python3
"""Long reads of what only the journal has: the bytes are right wherever the records begin and end, the connection stays in
step, and the daemon lends them without having them in its memory."""

import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from daemon import SEED, Daemon, blank
from load import MIB

import nbd

CONFIG = """
[[volume]]
name = "a"
medium = "a.img"
journal_limit = "512MiB"
"""
SIZE = 64 * MIB
LONG_ONLY = 32 * MIB
KIB = 1024
rng = random.Random(f"reads from the journal {SEED}")
content = bytearray(SIZE)


def connect(daemon, structured):
    handle = nbd.NBD()
    handle.set_request_structured_replies(structured)
    handle.connect_uri(daemon.uri("a"))
    return handle


def write(handle, offset, length):
    data = rng.randbytes(length)
    handle.pwrite(data, offset)
    content[offset:offset + length] = data


def fill(handle):
    """Records of all lengths, and in the second half what cuts them: short ones, and zeroes."""
    at = 0
    while at < SIZE:
        length = min(rng.choice([MIB, 700 * KIB, 256 * KIB, 100 * KIB]), SIZE - at)
        write(handle, at, length)
        at += length
    for _ in range(40):
        offset = rng.randrange(LONG_ONLY, SIZE - MIB) // 512 * 512
        if rng.random() < 0.5:
            write(handle, offset, rng.choice([512, 4 * KIB, 64 * KIB]))
        else:
            handle.zero(16 * KIB, offset)
            content[offset:offset + 16 * KIB] = bytes(16 * KIB)


def check(offset, found):
    assert found == content[offset:offset + len(found)], f"{len(found)} bytes at {offset} are others"


def read_without_having(daemon, handle):
    before = daemon.resident_mib()
    for offset in range(0, LONG_ONLY, MIB):
        check(offset, handle.pread(MIB, offset))
    grown = daemon.resident_mib() - before
    assert grown < LONG_ONLY // MIB // 2, (
        f"the daemon has {grown} MiB more in its memory: nothing was lent, or the system gave it no pipe")


def read_anywhere(handle):
    for _ in range(150):
        length = rng.choice([MIB, MIB - 512, 600 * KIB, 256 * KIB, 64 * KIB, 3 * MIB])
        offset = rng.randrange(0, SIZE - length) // 512 * 512
        check(offset, handle.pread(length, offset))


def read_several_at_once_between_writes(handle):
    # libnbd never lets go of what it was given.
    buffers = [nbd.Buffer(MIB) for _ in range(6)]
    for _ in range(30):
        write(handle, rng.randrange(0, SIZE - MIB) // 512 * 512, rng.choice([4 * KIB, 300 * KIB]))
        reads = [(rng.randrange(0, SIZE - MIB) // 512 * 512, buffer) for buffer in buffers]
        under_way = [handle.aio_pread(buffer, offset) for offset, buffer in reads]
        while under_way := [cookie for cookie in under_way if not handle.aio_command_completed(cookie)]:
            handle.poll(-1)
        for offset, buffer in reads:
            check(offset, buffer.to_bytearray())


with Daemon(CONFIG, blank("a.img", SIZE // MIB)) as daemon:
    daemon.run("eject", "a")
    handle = connect(daemon, structured=True)
    fill(handle)
    read_without_having(daemon, handle)
    handle.shutdown()
    for structured in (True, False):
        handle = connect(daemon, structured)
        read_anywhere(handle)
        read_several_at_once_between_writes(handle)
        handle.shutdown()
    daemon.run("insert", "a")
    handle = connect(daemon, structured=True)
    read_anywhere(handle)
    handle.shutdown()
    daemon.stop()
    assert daemon.bytes_of("a.img") == content, "the medium has something else"
