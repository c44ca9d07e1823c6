"""Rows with the medium in its bay: hotbay does what its peers do, and retains every write besides."""

import contextlib
import functools
import os
import socket
import subprocess
import time

import goals
import loads
from clients import OWN_CLIENT, Work
from nbd_client import Session
from peers import Hotbay, Server
from report import Contestant, Row
from stage import three

UNIX, TCP = "Unix", "TCP"
IDLE_SESSIONS = 1000
IDLE_MIB_MAX, SESSION_KIB_MAX, START_MS_MAX = 12, 64, 1000
# What a daemon's configuration says so that it spins for a moment before it sleeps; rows for those that know it.
SPINNING = 'busy_poll = "50us"'
WAKING, MEMORY = "waking the other process up", "the memory"

# name, work, what it waits for where no processor is full, goals over a Unix socket, goals over TCP where they differ
WARM = [
    ("4k read QD1", Work("randread", "4k", 1), WAKING, (goals.rate(1.0, 1.1), goals.cpu(0.8)), None),
    ("4k write QD1", Work("randwrite", "4k", 1), WAKING, (goals.rate(0.95, 1.05), goals.cpu(0.8)), None),
    ("4k read QD32", Work("randread", "4k", 32, client=OWN_CLIENT), WAKING,
     (goals.rate(1.3, 1.7), goals.cpu(0.6)), None),
    ("4k write QD32", Work("randwrite", "4k", 32, client=OWN_CLIENT), WAKING,
     (goals.rate(1.1, 1.3), goals.cpu(0.8)), None),
    ("1M read QD4", Work("read", "1M", 4), MEMORY, (goals.rate(1.4, 1.6), goals.cpu(0.7)),
     (goals.rate(0.9, 1.1), goals.cpu(0.7))),
    ("1M write QD4", Work("write", "1M", 4), MEMORY, (goals.rate(1.15, 1.4), goals.cpu(0.85)),
     (goals.rate(0.9, 1.1), goals.cpu(0.85))),
    ("4 sessions, 4k read QD8", Work("randread", "4k", 8, 4, OWN_CLIENT), WAKING,
     (goals.rate(2.5, 3.5), goals.cpu(0.3)), None),
    ("4 sessions, 4k write QD8", Work("randwrite", "4k", 8, 4, OWN_CLIENT), WAKING,
     (goals.rate(1.7, 2.0), goals.cpu(0.5)), None),
]
# The same with the client that everybody knows, for those who do not trust ours; not judged, since fio is the bound.
WARM_FIO = [
    ("4k read QD32 by fio", Work("randread", "4k", 32), WAKING, (), None),
    ("4 sessions, 4k read QD8 by fio", Work("randread", "4k", 8, 4), WAKING, (), None),
]
SPUN = [
    ("4k read QD1, spinning", Work("randread", "4k", 1), WAKING, (goals.rate(2.0, 2.5),), None),
    ("4k write QD1, spinning", Work("randwrite", "4k", 1), WAKING, (goals.rate(1.4, 2.0),), None),
    ("4k read QD32, spinning", Work("randread", "4k", 32, client=OWN_CLIENT), WAKING, (goals.rate(1.3, 1.7),), None),
]
COLD = Work("randread", "4k", 32, client=OWN_CLIENT)


def warm_unix(bench):
    warm(bench, UNIX, WARM + WARM_FIO)


def warm_tcp(bench):
    warm(bench, TCP, WARM)


def spinning(bench):
    """Peers do not spin: what is compared is what a user gets of each."""
    if bench.wants(*(f"{name}, {UNIX}" for name, *_ in SPUN)) and knows(bench, SPINNING):
        warm(bench, UNIX, SPUN, SPINNING)


def knows(bench, settings):
    """Whether this hotbay understands these lines of a configuration."""
    file = bench.disk / "settings.toml"
    file.write_text(settings + "\n")
    done = subprocess.run([bench.hotbay, "check-config", file], capture_output=True, check=False)
    return done.returncode == 0


def warm(bench, transport, rows, settings=""):
    names = [f"{name}, {transport}" for name, *_ in rows]
    if not bench.wants(*names):
        return
    with three(bench, bench.memory, tcp=transport == TCP, settings=settings) as servers:
        for name, (_, work, waits_for, unix_goals, tcp_goals) in zip(names, rows, strict=True):
            contestants = [bench.contestant(server, work) for server in servers]
            wanted = tcp_goals if transport == TCP and tcp_goals is not None else unix_goals
            note = "The image is on tmpfs"
            if work.direction == "write":
                note += "; hotbay alone keeps what is not synced and syncs each 64 MiB, which tmpfs does at once"
            bench.measure(Row(name, work.unit, contestants, waits_for, bench.scale.rounds, wanted, work.client,
                              work.sessions, note=note))


def cold(bench):
    name = "cold 4k read QD32, disk"
    if not bench.wants(name):
        return
    # So large that no block is read a second time; that it comes from the disk is checked by the kernel's count.
    with three(bench, bench.disk, mib=bench.scale.copy_mib) as servers:
        contestants = []
        drop = functools.partial(loads.drop_from_cache, bench.disk / "image.img")
        for server in servers:
            contestants.append(bench.contestant(server, COLD, prepare=drop, cold=True))
        note = "Cold is this machine's page cache; what lies below the disk may have one of its own"
        bench.measure(Row(name, COLD.unit, contestants, "the disk", bench.scale.rounds,
                          (goals.rate(0.9, 1.0), goals.cpu(0.5)), COLD.client, note=note))


def idle(bench):
    names = ("idle", f"{IDLE_SESSIONS} idle sessions")
    if not bench.wants(*names):
        return
    wanted = ((goals.at_most("rss_mib", IDLE_MIB_MAX),), (goals.at_most("session_kib", SESSION_KIB_MAX),))
    with three(bench, bench.memory, sessions=IDLE_SESSIONS + 24) as servers:
        for name, count, goal in zip(names, (0, IDLE_SESSIONS), wanted, strict=True):
            contestants = [Contestant(s.label, functools.partial(with_sessions, s, count)) for s in servers]
            bench.measure(Row(name, "", contestants, "nothing is asked", 1, goal))


def with_sessions(server, count):
    before = server.rss_mib()
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(Session(server.address))
        time.sleep(0.2)
        held = server.rss_mib()
    return {"rss_mib": held} | ({"session_kib": (held - before) * 1024 / count} if count else {})


def start(bench):
    plain = "start, no journal"
    full = {Server.stop: f"start with a full {bench.scale.copied} journal, disk",
            Server.kill: f"start with a full {bench.scale.copied} journal after kill -9, disk"}
    if bench.wants(plain):
        with three(bench, bench.memory) as servers:
            contestants = [Contestant(s.label, functools.partial(restarted, s)) for s in servers]
            bench.measure(Row(plain, "", contestants, "the start of a process", bench.scale.rounds))
    if not bench.wants(*full.values()):
        return
    medium = bench.image(bench.disk, "medium", bench.scale.copy_mib)
    with Hotbay(bench.hotbay, medium, bench.disk, journal_mib=2 * bench.scale.copy_mib + 512) as hotbay:
        hotbay.eject()
        loads.fill(hotbay, pattern="randwrite", block="4k")
        for end, name in full.items():
            contestants = [Contestant("hotbay", functools.partial(restarted, hotbay, end))]
            bench.measure(Row(name, "", contestants, "the disk, from which all of the journal is read",
                              bench.scale.copy_rounds, (goals.at_most("start_ms", START_MS_MAX),)))
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


SECTIONS = (warm_unix, spinning, warm_tcp, cold, idle, start)
