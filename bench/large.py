"""Rows that show whether anything grows with the size of a volume, or with the length of a history."""

import functools

import goals
import loads
import present
from clients import OWN_CLIENT, Work, run
from peers import MIB, Failed, Hotbay
from report import Contestant, Row

READS = Work("randread", "4k", 32, client=OWN_CLIENT)
SMALL_GIB = 1
FEW_EXTENTS, FEW_READ_TIMES = 1000, 21
MANY_EXTENTS = 1_000_000
EXTENT_BYTES_MAX = 64
FILL_SECONDS_MAX = 120


def size(bench):
    """A volume of 1 TiB beside one of 1 GiB: both are holes on tmpfs, so that a read differs by the size alone."""
    names = ("1 TiB sparse volume, start", "1 TiB sparse volume, 4k read QD32")
    if not bench.wants(*names):
        return
    large = loads.sparse(bench.memory / "large.img", bench.scale.sparse_gib)
    small = loads.sparse(bench.memory / "small.img", SMALL_GIB)
    with Hotbay(bench.hotbay, large, bench.disk, "hotbay 1 TiB") as big, \
            Hotbay(bench.hotbay, small, bench.disk, "hotbay 1 GiB") as little:
        contestants = [Contestant(s.label, functools.partial(present.restarted, s)) for s in (big, little)]
        bench.measure(Row(names[0], "", contestants, "the start of a process", bench.scale.rounds,
                          (goals.Goal("start_ms", 1.5, most=True), goals.Goal("rss_mib", 1.1, most=True))))
        contestants = [bench.contestant(server, READS) for server in (big, little)]
        bench.measure(Row(names[1], READS.unit, contestants, present.WAKING, bench.scale.rounds,
                          (goals.rate(0.9), goals.Goal("rss_mib", 1.1, most=True)), READS.client))
    for image in (large, small):
        image.unlink()


def extents(bench):
    """A journal of many extents beside one of few. The reads come in the order of the writes: all of them are in it."""
    count = f"{bench.scale.extents:_}".replace("_", " ")
    memory, lookup, start = (f"{count} journal extents, {what}, disk" for what in ("memory", "4k read QD32", "start"))
    if not bench.wants(memory, lookup, start):
        return
    many, few = (loads.sparse(bench.disk / f"{name}.img", bench.scale.sparse_gib) for name in ("many", "few"))
    journal_mib = bench.scale.extents * 4096 * 2 // MIB + 512
    with Hotbay(bench.hotbay, many, bench.disk, f"hotbay, {count}", journal_mib=journal_mib) as long, \
            Hotbay(bench.hotbay, few, bench.disk, f"hotbay, {FEW_EXTENTS}") as short:
        filled = [fill(bench, server, number) for server, number in ((long, bench.scale.extents), (short, FEW_EXTENTS))]
        contestants = [Contestant(server.label, lambda sample=sample: sample)
                       for server, sample in zip((long, short), filled, strict=True)]
        # With fewer it is the daemon's buffers that are seen, not the index.
        wanted = (goals.at_most("extent_bytes", EXTENT_BYTES_MAX),) if bench.scale.extents >= MANY_EXTENTS else ()
        bench.measure(Row(memory, "IOPS", contestants, "the disk's writeback", 1, wanted, OWN_CLIENT))
        contestants = [Contestant(server.label, functools.partial(looked_up, bench, server, number))
                       for server, number in ((long, bench.scale.extents), (short, FEW_EXTENTS))]
        note = (f"The data of {FEW_EXTENTS} extents fits in a processor's cache, that of {count} does not: "
                "it is not the index alone")
        bench.measure(Row(lookup, "IOPS", contestants, present.WAKING, bench.scale.rounds, (), OWN_CLIENT, note=note))
        contestants = [Contestant(s.label, functools.partial(present.restarted, s)) for s in (long, short)]
        bench.measure(Row(start, "", contestants, "reading the journal, which is in the page cache",
                          bench.scale.copy_rounds))
    for image in (many, few):
        image.unlink()


def fill(bench, server, number):
    """Absent, with so many extents in the journal; what each of them takes of the daemon's own memory."""
    server.eject()
    before = server.own_mib()
    with loads.costs(server) as cost:
        seen = run(Work("randwrite", "4k", 32, client=OWN_CLIENT, offset_mib=1, requests=number), bench.hotbay,
                   server.address.uri, FILL_SECONDS_MAX)
    there = server.status()["journal"]["extents"]
    if seen.requests < number or there < 0.9 * number:
        raise Failed(f"{server.label}: {seen.requests} writes became {there} extents, not {number}")
    grown = {"extent_bytes": (server.own_mib() - before) * MIB / there} if number > FEW_EXTENTS else {}
    return seen.sample | cost.sample(seen.requests, seen.seconds) | grown


def looked_up(bench, server, number):
    """Reads of all that the journal has, again and again where that is little; the median."""
    work = Work("randread", "4k", 32, client=OWN_CLIENT, offset_mib=1, requests=number)
    samples = []
    for _ in range(1 if number > FEW_EXTENTS else FEW_READ_TIMES):
        with loads.costs(server) as cost:
            seen = run(work, bench.hotbay, server.address.uri, FILL_SECONDS_MAX)
        samples.append(seen.sample | cost.sample(seen.requests, seen.seconds))
    return sorted(samples, key=lambda sample: sample["rate"])[len(samples) // 2]


SECTIONS = (size, extents)
