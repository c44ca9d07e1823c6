#!/usr/bin/python3
"""Requests that a careful client never sends: each gets the error number that the NBD protocol
names, the connection stays in step, and the same answers come with and without the medium."""

import errno
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from daemon import Daemon, blank
from load import MIB

import nbd

SLOW = "nbd+unix:///?socket=slow.sock"
CONFIG = f"""
[[volume]]
name = "a"
medium = "a.img"

[[volume]]
name = "slow"
medium = "{SLOW}"
"""
SIZE = 16 * MIB
UNKNOWN_FLAG = 1 << 15


def reckless(uri):
    """A client that checks nothing before it sends."""
    handle = nbd.NBD()
    handle.set_strict_mode(0)
    handle.connect_uri(uri)
    return handle


def answers(expected, what, request):
    try:
        request()
        found = 0
    except nbd.Error as error:
        found = error.errnum
    if found != expected:
        names = {0: "no error", **errno.errorcode}
        raise AssertionError(f"{what}: {names.get(found, found)}, not {names[expected]}")


def check_errors(handle):
    block = bytes(4096)
    for what, expected, request in [
        ("a write past the end", errno.ENOSPC, lambda: handle.pwrite(block, SIZE)),
        ("a write across the end", errno.ENOSPC, lambda: handle.pwrite(block, SIZE - 512)),
        ("zeroes past the end", errno.ENOSPC, lambda: handle.zero(4096, SIZE)),
        ("a read past the end", errno.EINVAL, lambda: handle.pread(4096, SIZE)),
        ("a read across the end", errno.EINVAL, lambda: handle.pread(4096, SIZE - 512)),
        ("a trim across the end", errno.EINVAL, lambda: handle.trim(4096, SIZE - 512)),
        ("a read near 2^64", errno.EINVAL, lambda: handle.pread(4096, (1 << 63) - 4096)),
        ("a write near 2^64", errno.ENOSPC, lambda: handle.pwrite(block, (1 << 63) - 4096)),
        ("a write with an unknown flag", errno.EINVAL,
         lambda: handle.pwrite(block, 0, UNKNOWN_FLAG)),
        ("zeroes with an unknown flag", errno.EINVAL, lambda: handle.zero(512, 0, UNKNOWN_FLAG)),
        ("a trim with an unknown flag", errno.EINVAL, lambda: handle.trim(512, 0, UNKNOWN_FLAG)),
        ("a read with an unknown flag", errno.EINVAL,
         lambda: handle.pread(512, 0, UNKNOWN_FLAG)),
    ]:
        answers(expected, what, request)
        assert handle.pread(512, 0) == b"\x5a" * 512, f"after {what} the connection is out of step"


def check_whole(handle):
    """FUA is allowed on every command; the last bytes of the disk are bytes like any others."""
    answers(0, "a flush", handle.flush)
    answers(0, "a read with FUA", lambda: handle.pread(512, 0, nbd.CMD_FLAG_FUA))
    answers(0, "a write of the last block", lambda: handle.pwrite(b"\x77" * 512, SIZE - 512))
    answers(0, "a cache request", lambda: handle.cache(4096, 0))
    answers(0, "a trim with FUA", lambda: handle.trim(4096, MIB, nbd.CMD_FLAG_FUA))
    assert handle.pread(512, SIZE - 512) == b"\x77" * 512
    answers(0, "quick zeroes", lambda: handle.zero(65536, 2 * MIB, nbd.CMD_FLAG_FAST_ZERO))
    answers(0, "quick zeroes of a few bytes, and no hole",
            lambda: handle.zero(700, 2 * MIB + 5, nbd.CMD_FLAG_FAST_ZERO | nbd.CMD_FLAG_NO_HOLE))
    smallest = max(1, handle.get_block_size(nbd.SIZE_MINIMUM))
    if smallest == 1:
        handle.pwrite(b"odd", 4097)
        assert handle.pread(5, 4096) == b"\x5aodd\x5a"
        handle.pwrite(b"\x5a" * 3, 4097)
    else:
        answers(errno.EINVAL, "an unaligned read", lambda: handle.pread(1, 1))
        answers(errno.EINVAL, "an unaligned write", lambda: handle.pwrite(b"x", 1))


def zero_length(handle):
    """The protocol leaves it open; what counts is an answer, and a connection in step."""
    for request in (lambda: handle.pread(0, 0), lambda: handle.pwrite(b"", 0),
                    lambda: handle.zero(0, 0), lambda: handle.trim(0, 0)):
        try:
            request()
        except nbd.Error as error:
            assert error.errnum == errno.EINVAL, error
    assert handle.pread(512, 0) == b"\x5a" * 512


def check_slow(daemon):
    """Zeroes that would have to be written are refused while the medium is there, and quick in the journal."""
    handle = nbd.NBD()
    handle.connect_uri(daemon.uri("slow"))
    handle.pwrite(b"\x5a" * 8192, 0)
    assert handle.can_fast_zero()
    quick = nbd.CMD_FLAG_FAST_ZERO
    for flags in (quick, quick | nbd.CMD_FLAG_FUA):
        answers(errno.EOPNOTSUPP, "quick zeroes", lambda: handle.zero(4096, 0, flags))
        assert handle.pread(8192, 0) == b"\x5a" * 8192, "what was refused has changed something"
    answers(0, "zeroes", lambda: handle.zero(512, 0))
    daemon.run("eject", "slow")
    answers(0, "quick zeroes in the journal", lambda: handle.zero(4096, 0, quick))
    daemon.run("insert", "slow")
    assert handle.pread(8192, 0) == bytes(4096) + b"\x5a" * 4096
    handle.shutdown()


def begin(directory):
    """A medium that knows quick zeroes and refuses each: nbdkit, which ends with this script."""
    blank("a.img", 16)(directory)
    socket = directory / "slow.sock"
    subprocess.Popen(["nbdkit", "--foreground", "--exit-with-parent", "--unix", socket,
                      "--filter=nozero", "memory", "16M", "zeromode=plugin", "fastzeromode=slow"])
    deadline = time.monotonic() + 20
    while subprocess.run(["nbdinfo", "--size", f"nbd+unix:///?socket={socket}"],
                         capture_output=True).returncode != 0:
        assert time.monotonic() < deadline, "nbdkit did not come up"
        time.sleep(0.02)


with Daemon(CONFIG, begin) as daemon:
    for modern in (True, False):
        handle = nbd.NBD()
        handle.set_strict_mode(0)
        handle.set_request_structured_replies(modern)
        handle.connect_uri(daemon.uri("a"))
        handle.pwrite(b"\x5a" * 8192, 0)
        check_errors(handle)
        check_whole(handle)
        zero_length(handle)
        daemon.run("eject", "a")
        handle.pwrite(b"\x5a" * 8192, 0)
        check_errors(handle)
        check_whole(handle)
        zero_length(handle)
        daemon.run("insert", "a")
        assert handle.pread(512, SIZE - 512) == b"\x77" * 512
        handle.shutdown()

    check_slow(daemon)
    stranger = nbd.NBD()
    answers(errno.ENOENT, "an export that is not there",
            lambda: stranger.connect_uri(daemon.uri("nobody")))
    daemon.stop()
