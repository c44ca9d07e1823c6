"""What is measured: every row of the table, section by section.

A section starts the servers of its rows, and ends them. Where a row compares states of hotbay (absent, a replay, a
swap) the peers are whatever does the same work without its promises.
"""

import contextlib
import dataclasses
import functools
import os
import socket
import time

import loads
from loads import Work
from nbd_client import Session
from peers import Failed, Hotbay, Server, free_port, nbdkit, qemu_nbd
from report import Contestant, Row

UNIX, TCP = "Unix", "TCP"

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
PAUSE_LOAD = Work("randwrite", "4k", 8)
PAUSE_TARGET_MS = 10.0
IDLE_SESSIONS = 1000


@dataclasses.dataclass
class Scale:
    """How long, how often, how large."""

    rounds: int
    seconds: float
    warm_seconds: float
    image_mib: int
    copy_mib: int

    @property
    def copy_rounds(self):
        return min(self.rounds, 3)

    @property
    def copied(self):
        return f"{self.copy_mib // 1024} GiB" if self.copy_mib >= 1024 else f"{self.copy_mib} MiB"


@dataclasses.dataclass
class Bench:
    """Where it runs, with what, and the rows that come out."""

    hotbay: str
    memory: object
    disk: object
    scale: Scale
    report: object

    def wants(self, *names):
        return any(self.report.wants(name) for name in names)

    def measure(self, row):
        if self.wants(row.name):
            self.report.measure(row)

    def image(self, directory, name, mib=None):
        return loads.image(directory / f"{name}.img", mib or self.scale.image_mib)

    def served(self, server, work, **how):
        return functools.partial(loads.served, server, work, self.scale.seconds, self.scale.warm_seconds, **how)


def run(bench):
    for section in (warm_unix, warm_tcp, cold, absent_writes, absent_reads, stable_writes, replay, swap, pauses, idle,
                    start):
        try:
            section(bench)
        except Failed as failure:
            bench.report.failures.append(f"{section.__name__.replace('_', ' ')}: {failure}")


@contextlib.contextmanager
def three(bench, directory, sessions=8, tcp=False, mib=None):
    """hotbay, nbdkit and qemu-nbd, each with an image of its own; the images are gone afterwards."""
    with contextlib.ExitStack() as stack:
        images = []
        for name in ("hotbay", "nbdkit", "qemu"):
            images.append(bench.image(directory, name, mib))
            stack.callback(images[-1].unlink, missing_ok=True)
        ports = [free_port() if tcp else None for _ in images]
        servers = (Hotbay(bench.hotbay, images[0], bench.disk, port=ports[0]),
                   nbdkit(images[1], bench.disk, port=ports[1]),
                   qemu_nbd(images[2], bench.disk, port=ports[2], sessions=sessions))
        yield [stack.enter_context(server) for server in servers]


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
    with three(bench, bench.disk) as servers:
        contestants = []
        for server, image in zip(servers, ("hotbay", "nbdkit", "qemu"), strict=True):
            drop = functools.partial(loads.drop_from_cache, bench.disk / f"{image}.img")
            contestants.append(Contestant(server.label, bench.served(server, COLD, prepare=drop)))
        bench.measure(Row(name, COLD.unit, contestants, "rate", "the disk", bench.scale.rounds))


@contextlib.contextmanager
def absent_and_peers(bench):
    """A hotbay without its medium; beside it hotbay with its medium, nbdkit, and nbdkit that keeps writes aside."""
    with contextlib.ExitStack() as stack:
        names = ("absent", "present", "nbdkit", "cow")
        images = {name: bench.image(bench.disk, name) for name in names}
        for image in images.values():
            stack.callback(image.unlink, missing_ok=True)
        servers = (Hotbay(bench.hotbay, images["absent"], bench.disk, "hotbay absent"),
                   Hotbay(bench.hotbay, images["present"], bench.disk, "hotbay present"),
                   nbdkit(images["nbdkit"], bench.disk),
                   nbdkit(images["cow"], bench.disk, "nbdkit cow", filters=("cow",)))
        yield [stack.enter_context(server) for server in servers]


def absent_writes(bench):
    rows = [("absent 4k write QD32, disk", Work("randwrite", "4k", 32), "cpu_us", "fio's core, then the disk's writeback"),
            ("absent 1M write QD4, disk", Work("write", "1M", 4), "rate", "copies in memory, then the disk's writeback")]
    if not bench.wants(*(name for name, *_ in rows)):
        return
    with absent_and_peers(bench) as (absent, present, plain, cow):
        for name, work, judge, bound in rows:
            contestants = [Contestant(absent.label, bench.served(absent, work, prepare=absent.empty_journal)),
                           *(Contestant(s.label, bench.served(s, work)) for s in (present, plain, cow))]
            absent.eject()
            bench.measure(Row(name, work.unit, contestants, judge, bound, bench.scale.rounds))


def absent_reads(bench):
    rows = [("absent 4k read QD32, disk", Work("randread", "4k", 32), "cpu_us", "fio's core: compare CPU"),
            ("absent 1M read QD4, disk", Work("read", "1M", 4), "rate", "copies in memory")]
    if not bench.wants(*(name for name, *_ in rows)):
        return
    with absent_and_peers(bench) as servers:
        servers[0].eject()
        loads.fill(servers[0])
        loads.fill(servers[3])
        for name, work, judge, bound in rows:
            contestants = [Contestant(s.label, bench.served(s, work)) for s in servers]
            bench.measure(Row(name, work.unit, contestants, judge, f"{bound}; all in the page cache",
                              bench.scale.rounds))


def stable_writes(bench):
    names = {1: "absent 4k write + FUA QD1, disk", 16: "absent 4k write + FUA QD16, disk"}
    if not bench.wants(*names.values()):
        return
    with absent_and_peers(bench) as (absent, present, plain, _):
        absent.eject()
        for depth, name in names.items():
            contestants = [Contestant(s.label, functools.partial(loads.stable, s, depth, bench.scale.seconds,
                                                                 bench.scale.warm_seconds))
                           for s in (absent, present, plain)]
            contestants.append(Contestant("bare append + fdatasync QD1", functools.partial(
                loads.bare_appends, bench.disk / "bare", bench.scale.seconds)))
            bench.measure(Row(name, "IOPS", contestants, "rate", "the disk's sync", bench.scale.rounds))
        (bench.disk / "bare").unlink(missing_ok=True)


def replay(bench):
    size = bench.scale.copied
    sequential = f"replay of {size}, sequential, disk"
    random = f"replay of {size}, random 4k, disk"
    if not bench.wants(sequential, random):
        return
    mib = bench.scale.copy_mib
    source, target = bench.image(bench.disk, "source", mib), bench.image(bench.disk, "target", 2 * mib)
    medium = bench.image(bench.disk, "medium", 2 * mib)
    dd = ["dd", f"if={source}", f"of={target}", "bs=1M", "conv=notrunc,fsync", "status=none"]
    # Every other 4k block, in ascending order, in place: what a replay has to do at the least.
    sorted_writes = ["fio", "--name=w", "--ioengine=psync", f"--filename={target}", "--rw=write:4k", "--bs=4k",
                     f"--size={2 * mib}M", f"--io_size={mib}M", "--end_fsync=1"]
    with Hotbay(bench.hotbay, medium, bench.disk, journal_mib=4 * mib + 512) as hotbay:

        def replayed(**filling):
            hotbay.empty_journal()
            loads.fill(hotbay, **filling)
            return loads.commanded(hotbay, mib, hotbay.insert)

        for name, filling, label, command in (
                (sequential, {"size_mib": mib}, "dd conv=fsync", dd),
                (random, {"pattern": "randwrite", "block": "4k", "size_mib": 2 * mib, "alignment": "8k"},
                 "sorted pwrite loop", sorted_writes)):
            contestants = [Contestant(hotbay.label, functools.partial(replayed, **filling)),
                           Contestant(label, functools.partial(loads.program, command, mib))]
            bench.measure(Row(name, "MB/s", contestants, "rate", "the disk", bench.scale.copy_rounds, per="MiB"))
    for image in (source, target, medium):
        image.unlink()


def swap(bench):
    for place, directory in (("tmpfs", bench.memory), ("disk", bench.disk)):
        name = f"swap's copy of {bench.scale.copied}, {place}"
        if bench.wants(name):
            swap_in(bench, name, directory, "copies in memory" if place == "tmpfs" else "the disk")


def swap_in(bench, name, directory, bound):
    mib = bench.scale.copy_mib
    here, copy = bench.image(directory, "source", mib), directory / "copy.img"
    media = [bench.image(directory, "medium", mib), directory / "other.img"]
    with Hotbay(bench.hotbay, media[0], bench.disk) as hotbay, nbdkit(here, bench.disk) as server, \
            Session(hotbay.address):

        def swapped():
            target = media[1]
            sample = loads.commanded(hotbay, mib, lambda: hotbay.run("swap", "a", f"file:{target}?create={mib}MiB"))
            media.reverse()
            media[1].unlink()
            return sample

        def copied(origin):
            copy.unlink(missing_ok=True)
            return loads.program(["nbdcopy", "--flush", origin, copy], mib)

        contestants = [Contestant(hotbay.label, swapped),
                       Contestant("nbdcopy, file to file", functools.partial(copied, here)),
                       Contestant("nbdcopy, nbdkit to file", functools.partial(copied, server.address.uri))]
        bench.measure(Row(name, "MB/s", contestants, "rate", bound, bench.scale.copy_rounds, per="MiB"))
    for image in (here, copy, *media):
        image.unlink(missing_ok=True)


def pauses(bench):
    """The longest that a client waits for a write while the volume changes its state under it."""
    events = {event: f"longest wait of a 4k write QD8, {event}, disk"
              for event in ("nothing happens", "a pull", "a replay's end", "a swap")}
    if not bench.wants(*events.values()):
        return
    media = [bench.image(bench.disk, "medium"), bench.disk / "other.img"]
    with Hotbay(bench.hotbay, media[0], bench.disk, journal_mib=16384) as hotbay:

        def exchange():
            hotbay.run("swap", "a", f"file:{media[1]}?create={bench.scale.image_mib}MiB")
            media.reverse()
            media[1].unlink()

        def disturbed(before, act):
            before()
            return loads.disturbed(hotbay, PAUSE_LOAD, bench.scale.seconds / 2, act)

        for event, before, act in (("nothing happens", hotbay.insert, lambda: None),
                                   ("a pull", hotbay.insert, lambda: hotbay.run("pull", "a")),
                                   ("a replay's end", hotbay.empty_journal, hotbay.insert),
                                   ("a swap", hotbay.insert, exchange)):
            contestants = [Contestant(hotbay.label, functools.partial(disturbed, before, act)),
                           Contestant("target", lambda: {"max_ms": PAUSE_TARGET_MS})]
            bench.measure(Row(events[event], "IOPS", contestants, "max_ms", "the page cache of the disk",
                              bench.scale.rounds))
    for image in media:
        image.unlink(missing_ok=True)


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
