"""Rows with the medium in its bay: hotbay does what its peers do, and retains every write besides."""

import contextlib
import functools
import os
import socket
import time

import loads
from loads import Work
from nbd_client import Session
from peers import Hotbay, Server
from report import Contestant, Row
from stage import three

UNIX, TCP = "Unix", "TCP"
IDLE_SESSIONS = 1000

WARM = [
    ("4k read QD1", Work("randread", "4k", 1), "rate", "the wake-up of the other core"),
    ("4k write QD1", Work("randwrite", "4k", 1), "rate", "the wake-up of the other core"),
    ("4k read QD32", Work("randread", "4k", 32), "cpu_us", "fio's core: compare CPU"),
    ("4k write QD32", Work("randwrite", "4k", 32), "cpu_us", "fio's core: compare CPU"),
    ("1M read QD4", Work("read", "1M", 4), "rate", "copies in memory"),
    ("1M write QD4", Work("write", "1M", 4), "rate", "copies in memory"),
    ("4 sessions, 4k read QD8", Work("randread", "4k", 8, 4), "rate", "both cores, shared with fio"),
    ("4 sessions, 4k write QD8", Work("randwrite", "4k", 8, 4), "rate", "both cores, shared with fio"),
]
COLD = Work("randread", "4k", 32, repeats=False)


def warm_unix(bench):
    warm(bench, UNIX)


def warm_tcp(bench):
    warm(bench, TCP)


def warm(bench, transport):
    names = [f"{name}, {transport}" for name, *_ in WARM]
    if not bench.wants(*names):
        return
    with three(bench, bench.memory, tcp=transport == TCP) as servers:
        for name, (_, work, judge, bound) in zip(names, WARM, strict=True):
            contestants = [Contestant(s.label, bench.served(s, work)) for s in servers]
            bench.measure(Row(name, work.unit, contestants, judge, f"{bound}; image on tmpfs", bench.scale.rounds))


def cold(bench):
    name = "cold 4k read QD32, disk"
    if not bench.wants(name):
        return
    # So large that no block is read a second time.
    with three(bench, bench.disk, mib=bench.scale.copy_mib) as servers:
        contestants = []
        for server, image in zip(servers, ("hotbay", "nbdkit", "qemu"), strict=True):
            drop = functools.partial(loads.drop_from_cache, bench.disk / f"{image}.img")
            load = functools.partial(loads.served, server, COLD, bench.scale.seconds, prepare=drop)
            contestants.append(Contestant(server.label, load))
        bench.measure(Row(name, COLD.unit, contestants, "rate", "the disk", bench.scale.rounds))


def idle(bench):
    names = ("idle, RSS", f"{IDLE_SESSIONS} idle sessions, RSS")
    if not bench.wants(*names):
        return
    with three(bench, bench.memory, sessions=IDLE_SESSIONS + 24) as servers:
        for name, count in zip(names, (0, IDLE_SESSIONS), strict=True):
            contestants = [Contestant(s.label, functools.partial(with_sessions, s, count)) for s in servers]
            bench.measure(Row(name, "", contestants, "rss_mib", "", 1))


def with_sessions(server, count):
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(Session(server.address))
        time.sleep(0.2)
        return {"rss_mib": server.rss_mib()}


def start(bench):
    plain = "start, no journal"
    full = {Server.stop: f"start with a full {bench.scale.copied} journal, disk",
            Server.kill: f"start with a full {bench.scale.copied} journal after kill -9, disk"}
    if bench.wants(plain):
        with three(bench, bench.memory) as servers:
            contestants = [Contestant(s.label, functools.partial(restarted, s)) for s in servers]
            bench.measure(Row(plain, "", contestants, "start_ms", "", bench.scale.rounds))
    if not bench.wants(*full.values()):
        return
    medium = bench.image(bench.disk, "medium", bench.scale.copy_mib)
    with Hotbay(bench.hotbay, medium, bench.disk, journal_mib=2 * bench.scale.copy_mib + 512) as hotbay:
        hotbay.eject()
        loads.fill(hotbay, pattern="randwrite", block="4k")
        for end, name in full.items():
            contestants = [Contestant("hotbay", functools.partial(restarted, hotbay, end))]
            bench.measure(Row(name, "", contestants, "start_ms", "reading the journal from the disk",
                              bench.scale.copy_rounds))
    medium.unlink()


def restarted(server, end=Server.stop):
    end(server)
    if server.address.unix and os.path.exists(server.address.unix):
        remove_stale(server.address.unix)
    seconds = server.start()
    return {"start_ms": seconds * 1e3, "rss_mib": server.rss_mib()}


def remove_stale(path):
    """A socket file nobody listens on: nbdkit does not start over one."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            os.unlink(path)


SECTIONS = (warm_unix, warm_tcp, cold, idle, start)
