#!/usr/bin/python3
"""The corners of the protocol document, against the same independent client as conformance.py: what a client may send and hardly any
does, what it must not send and is answered nevertheless, each flag on each command, requests of no bytes, the end of a session."""

import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from daemon import blank, keeps
from wire import *

MIB = 1 << 20
SIZE = 8 * MIB
CONFIG = """
[[volume]]
name = "a"
medium = "a.img"

[[volume]]
name = "fixed"
medium = "mem:1MiB"
read_only = true
"""
DIALECTS = (SIMPLE, STRUCTURED, EXTENDED)
COMMANDS = (READ, WRITE, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS)
INFO_EXPORT, INFO_NAME, INFO_DESCRIPTION, INFO_BLOCK_SIZE = range(4)
READ_ONLY, SEND_FUA, SEND_TRIM, SEND_WRITE_ZEROES = 1 << 1, 1 << 3, 1 << 5, 1 << 6


def asking(name, *infos, count=None):
    return text(name) + struct.pack(f">H{len(infos)}H", len(infos) if count is None else count, *infos)


def closes(wire):
    assert wire.take_all() == b"", "it is answered"


# --- the greeting, and the old way in

def padding_follows_the_flag(daemon):
    """EXPORT_NAME sends 124 zeroes, unless both sides have said that it does not; GO never does."""
    for flags, padding in ((0, 124), (1, 124), (2, 0), (3, 0)):
        wire = Wire(daemon.socket, flags)
        wire.send(struct.pack(">QII", IHAVEOPT, EXPORT_NAME, 1) + b"a")
        size, told = struct.unpack(">QH", wire.take(10))
        assert size == SIZE and told & 1
        assert wire.take(padding) == bytes(padding)
        assert wire.read(0, 16) == bytes(16)
        if flags & 1:
            wire = Wire(daemon.socket, flags)
            wire.go()
            assert wire.read(0, 16) == bytes(16)


def the_old_way_in_keeps_what_was_agreed_upon(daemon):
    for name, counts in (("a", True), ("fixed", False)):
        wire = Wire(daemon.socket).speak(STRUCTURED)
        wire.contexts(SET_META_CONTEXT, "base:allocation")
        wire.send(struct.pack(">QII", IHAVEOPT, EXPORT_NAME, len(name)) + name.encode())
        size, told = struct.unpack(">QH", wire.take(10))
        assert told & SEND_DF
        assert wire.read(0, 16) == bytes(16)
        assert (wire.ask(BLOCK_STATUS, 0, 512).error == 0) == counts


def options_need_fixed_newstyle(daemon):
    for flags in (0, 2):
        for option, data in ((LIST, b""), (GO, asking("a")), (ABORT, b""), (STARTTLS, b""), (99, b"")):
            wire = Wire(daemon.socket, flags)
            wire.send(struct.pack(">QII", IHAVEOPT, option, len(data)) + data)
            closes(wire)


def what_cannot_be_answered_ends_it(daemon):
    for bit in range(2, 32):
        closes(Wire(daemon.socket, 3 | 1 << bit))
    wire = Wire(daemon.socket)
    wire.send(struct.pack(">QII", IHAVEOPT ^ 1, LIST, 0))
    closes(wire)
    for name in (b"nobody", b"a\0", b"\xff", b"x" * 4097):
        wire = Wire(daemon.socket)
        wire.send(struct.pack(">QII", IHAVEOPT, EXPORT_NAME, len(name)) + name)
        closes(wire)
    wire = Wire(daemon.socket)
    wire.go()
    wire.send(struct.pack(">IHHQQI", REQUEST ^ 1, 0, READ, 1, 0, 512))
    closes(wire)


def abort_is_answered(daemon):
    """Also with data, which the document wants to be ignored."""
    for data in (b"", b"goodbye"):
        wire = Wire(daemon.socket)
        assert wire.option(ABORT, data) == [(REP_ACK, b"")]
        closes(wire)


# --- options

def unknown_options_are_skipped(daemon):
    wire = Wire(daemon.socket)
    for number in (0, 4, 12, 1000, (1 << 32) - 1):
        for size in (0, 1, 1 << 16, (1 << 16) + 1, 3 * MIB):
            assert wire.outcome(number, bytes(size)) == ERR_UNSUP, (number, size)
    assert wire.go()[0] == SIZE


def long_options_are_too_big(daemon):
    wire = Wire(daemon.socket)
    for number in (LIST, STARTTLS, INFO, GO, STRUCTURED_REPLY, LIST_META_CONTEXT, SET_META_CONTEXT, EXTENDED_HEADERS):
        assert wire.outcome(number, bytes((1 << 16) + 1)) == ERR_TOO_BIG, number
        assert wire.outcome(number, b"\xff" * (1 << 16)) in (ERR_INVALID, ERR_POLICY), number
    assert wire.go()[0] == SIZE


def options_without_data_refuse_some(daemon):
    wire = Wire(daemon.socket)
    for number in (LIST, STRUCTURED_REPLY, EXTENDED_HEADERS):
        assert wire.outcome(number, b"\0") == ERR_INVALID
    assert wire.outcome(STARTTLS) == ERR_POLICY
    assert wire.outcome(STARTTLS, b"\0") in (ERR_INVALID, ERR_POLICY)
    names = [data[4:4 + struct.unpack(">I", data[:4])[0]] for kind, data in wire.option(LIST)[:-1]]
    assert names == [b"a", b"fixed"]
    wire.go()
    assert wire.read(0, 16) == bytes(16), "nothing of them was agreed upon"


def malformed_questions_about_exports(daemon):
    wire = Wire(daemon.socket)
    for option in (INFO, GO):
        for data in (b"", b"\0", text("a"), text("a") + b"\0", struct.pack(">I", 2) + b"a\0\0",
                     struct.pack(">I", (1 << 32) - 1) + b"a\0\0", asking("a", 1, count=2), asking("a", 1, 2, count=1),
                     asking("a") + b"x", text("a\0") + b"\0\0", struct.pack(">I", 1) + b"\xff\0\0",
                     asking("x" * 4097)):
            assert wire.outcome(option, data) in (ERR_INVALID, ERR_TOO_BIG), data[:20]
        assert wire.outcome(option, asking("x" * 4096)) == ERR_UNKNOWN
        assert wire.outcome(option, asking("nobody", INFO_BLOCK_SIZE)) == ERR_UNKNOWN
    assert wire.go()[0] == SIZE


def what_is_told_of_an_export(daemon):
    """Each thing once, whatever is asked for and how often, and by GO what INFO has told."""
    for dialect in DIALECTS:
        for infos in ((), (INFO_EXPORT,), (INFO_NAME, INFO_DESCRIPTION, INFO_BLOCK_SIZE), (77, 65535), (3, 3, 3),
                      tuple(range(2000))):
            wire = Wire(daemon.socket).speak(dialect)
            told = [wire.option(option, asking("a", *infos)) for option in (INFO, INFO, GO)]
            assert sorted(told[0]) == sorted(told[1]) == sorted(told[2])
            kinds = [struct.unpack(">H", data[:2])[0] for kind, data in told[0] if kind == REP_INFO]
            assert INFO_EXPORT in kinds and len(set(kinds)) == len(kinds)
            assert {kind for kind in infos if kind < 4} <= set(kinds)
            for data in (data for kind, data in told[0] if kind == REP_INFO):
                if data[:2] == struct.pack(">H", INFO_NAME):
                    assert data[2:] == b"a"
                if data[:2] == struct.pack(">H", INFO_BLOCK_SIZE):
                    check_sizes(*struct.unpack(">III", data[2:]))
            assert wire.read(0, 16) == bytes(16)


def check_sizes(least, preferred, most):
    for power in (least, preferred):
        assert power and power & (power - 1) == 0
    assert least <= 65536 and preferred >= max(least, 512)
    assert most % least == 0 and most >= min(preferred, SIZE) and most >= min(MIB, SIZE)


def the_default_export_is_the_first(daemon):
    wire = Wire(daemon.socket).speak(STRUCTURED)
    wire.contexts(SET_META_CONTEXT, "base:allocation", export="a")
    replies = wire.option(GO, asking("", INFO_NAME))
    assert (REP_INFO, struct.pack(">H", INFO_NAME) + b"a") in replies
    assert wire.ask(BLOCK_STATUS, 0, 512).error == 0, "it is another name of the same export"


def contexts_by_odd_queries(daemon):
    wire = Wire(daemon.socket).speak(STRUCTURED)
    for queries, found in [
        (["base:allocation", "base:allocation"], {"base:allocation"}), (["qemu:"], set()), (["x-hotbay:"], set()),
        (["base:alloc"], set()), (["base:allocation "], set()), (["BASE:ALLOCATION"], set()),
        (["qemu:dirty-bitmap:"], set()), (["nobody:\u00e9"], set()), (["x" * 4000 + ":y"], set()),
        (["other:" + str(n) for n in range(1000)] + ["x-hotbay:place"], {"x-hotbay:place"}),
    ]:
        assert set(wire.contexts(SET_META_CONTEXT, *queries)) == found, queries[:3]
    assert wire.contexts(SET_META_CONTEXT, "x" * 4096 + ":y") in (ERR_INVALID, ERR_TOO_BIG)
    selected = wire.contexts(SET_META_CONTEXT, "x-hotbay:place")
    wire.contexts(LIST_META_CONTEXT)
    wire.option(INFO, asking("fixed"))
    wire.go()
    assert set(wire.ask(BLOCK_STATUS, 0, 512).status) == set(selected.values()), "what was asked in between changes nothing"


# --- requests

def opened(daemon, dialect, name="a"):
    wire = Wire(daemon.socket).speak(dialect)
    if dialect != SIMPLE:
        wire.contexts(SET_META_CONTEXT, "base:allocation", export=name)
    return wire, wire.go(name)[1]


def allowed(command, dialect):
    flags = {READ: DF if dialect != SIMPLE else 0, WRITE_ZEROES: NO_HOLE | FAST_ZERO, BLOCK_STATUS: REQ_ONE}
    return FUA | flags.get(command, 0)


def each_flag_on_each_command(daemon):
    for dialect in DIALECTS:
        wire, _ = opened(daemon, dialect)
        for command in COMMANDS:
            for bit in range(16):
                flag = 1 << bit
                if flag == PAYLOAD_LEN and dialect == EXTENDED:
                    continue                            # has rules of its own
                carries = command == WRITE
                flags = flag | (PAYLOAD_LEN if carries and dialect == EXTENDED else 0)
                length = 0 if command == FLUSH else 512
                reply = wire.ask(command, 0, length, flags, bytes(512) if carries else b"")
                is_known = command != BLOCK_STATUS or dialect != SIMPLE
                fits = flag & allowed(command, dialect) and is_known
                expected = (0, ENOTSUP) if fits and flag == FAST_ZERO else (0,) if fits else (EINVAL,)
                assert reply.error in expected, (hex(dialect), command, bit, reply.error)
                assert wire.read(0, 16) == bytes(16), "out of step"


def requests_of_no_bytes(daemon):
    """What they do is not specified, but that they end nothing. Here they are done where there is such a place."""
    for dialect in DIALECTS:
        wire, _ = opened(daemon, dialect)
        for command in (READ, WRITE, TRIM, CACHE, WRITE_ZEROES):
            for offset, is_there in ((0, True), (1, True), (SIZE, True), (SIZE + 1, False), ((1 << 64) - 1, False)):
                for flags in (0, FUA):
                    flags |= PAYLOAD_LEN if command == WRITE and dialect == EXTENDED else 0
                    reply = wire.ask(command, offset, 0, flags)
                    expected = 0 if is_there else ENOSPC if command in (WRITE, WRITE_ZEROES) else EINVAL
                    assert reply.error == expected, (hex(dialect), command, offset, reply.error, reply.text)
        assert wire.ask(BLOCK_STATUS, 0, 0).error == EINVAL
        # Reserved, and not looked at.
        assert wire.ask(FLUSH, 12345, 678).error == 0
        assert wire.read(0, 16) == bytes(16)


def single_bytes(daemon):
    for dialect in DIALECTS:
        wire, _ = opened(daemon, dialect)
        for place in (0, 511, 512, 4095, SIZE - 1):
            assert wire.write(place, b"\x77") == 0
            assert wire.read(place, 1) == b"\x77"
            assert wire.ask(TRIM, place, 1).error == 0
            assert wire.ask(CACHE, place, 1).error == 0
            assert wire.ask(WRITE_ZEROES, place, 1).error == 0
            assert wire.read(place, 1) == b"\0"


def a_read_only_export(daemon):
    for dialect in DIALECTS:
        wire, flags = opened(daemon, dialect, "fixed")
        assert flags & READ_ONLY and not flags & (SEND_TRIM | SEND_WRITE_ZEROES | CAN_FAST_ZERO)
        for offset in (0, MIB - 512):
            assert wire.write(offset, bytes(512)) == EPERM
            assert wire.ask(TRIM, offset, 512).error == EPERM
            for with_it in (0, NO_HOLE, FAST_ZERO):
                assert wire.ask(WRITE_ZEROES, offset, 512, with_it).error == EPERM
            assert wire.read(offset, 512) == bytes(512)
        assert wire.write(MIB, bytes(512)) in (EPERM, ENOSPC)
        assert wire.ask(FLUSH, 0, 0).error == 0
        assert wire.ask(CACHE, 0, MIB).error == 0
        # Its SEND_FUA is not told, and FUA has nothing to wait for.
        assert not flags & SEND_FUA and wire.ask(READ, 0, 512, FUA).error == 0
        assert wire.ask(READ, MIB, 1).error == EINVAL


def an_error_says_where_within_the_request(daemon):
    """Or does not say it: the client holds each offset against the request."""
    for dialect in (STRUCTURED, EXTENDED):
        wire, _ = opened(daemon, dialect)
        for command in (READ, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS):
            for offset, length in ((SIZE, 1), (SIZE + 1, 1), (SIZE - 1, 2), (0, SIZE + 1), (1 << 63, 1 << 20)):
                reply = wire.ask(command, offset, length)
                assert reply.error == (ENOSPC if command == WRITE_ZEROES else EINVAL)
                assert reply.text


def status_of_any_range(daemon):
    for dialect in (STRUCTURED, EXTENDED):
        wire, _ = opened(daemon, dialect)
        for offset, length in ((0, 1), (1, 1), (SIZE - 1, 1), (3, SIZE - 5), (0, SIZE)):
            for flags in (0, REQ_ONE):
                (extents,) = wire.ask(BLOCK_STATUS, offset, length, flags).status.values()
                assert offset + sum(size for size, _ in extents) <= SIZE, "nothing is told of what is behind the end"


# --- the end

def all_is_answered_before_the_end(daemon):
    """DISC and what was sent before it, in one go; whatever the DISC has besides."""
    for dialect in DIALECTS:
        for flags, length in ((0, 0), (FUA, 0), (1 << 15, 512)):
            wire, _ = opened(daemon, dialect)
            whole, send = b"", wire.send
            def gather(data):
                nonlocal whole
                whole += data
            wire.send = gather
            sent = []
            for n in range(40):
                sent.append(wire.request(READ, n * 4096, 100_000))
                sent.append(wire.request(FLUSH, 0, 0))
            # A payload would only be looked for where there is one.
            wire.request(DISC, 0, length if dialect != EXTENDED else 0, flags)
            send(whole)
            missing = set(sent)
            while missing:
                missing.remove(take_any(wire, missing))
            closes(wire)


def take_any(wire, missing):
    """The next reply, whichever request it answers."""
    head = wire.socket.recv(16, 2)                      # MSG_PEEK
    while len(head) < 16:
        head = wire.socket.recv(16, 2)
    cookie = struct.unpack(">Q", head[8:])[0]
    assert cookie in missing
    assert wire.reply(cookie).error == 0
    return cookie


RULES = [
    padding_follows_the_flag, the_old_way_in_keeps_what_was_agreed_upon, options_need_fixed_newstyle,
    what_cannot_be_answered_ends_it, abort_is_answered, unknown_options_are_skipped, long_options_are_too_big,
    options_without_data_refuse_some, malformed_questions_about_exports, what_is_told_of_an_export,
    the_default_export_is_the_first, contexts_by_odd_queries, each_flag_on_each_command, requests_of_no_bytes,
    single_bytes, a_read_only_export, an_error_says_where_within_the_request, status_of_any_range,
    all_is_answered_before_the_end,
]

keeps(RULES, CONFIG, blank("a.img", 8))
