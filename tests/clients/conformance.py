#!/usr/bin/python3
"""The protocol document, rule by rule, against an independent client (lib/wire.py): negotiation of structured replies and
extended headers, chunks, 64-bit lengths, error numbers and texts, payloads that nobody asked for."""

import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from daemon import blank, keeps
from wire import *

MIB = 1 << 20
SIZE = 64 * MIB
CONFIG = """
[[volume]]
name = "a"
medium = "a.img"
absent_reads = "error"

[[volume]]
name = "b"
medium = "mem:1MiB"
"""
DIALECTS = (SIMPLE, STRUCTURED, EXTENDED)


def flags_follow_the_dialect(daemon):
    for dialect in DIALECTS:
        wire = Wire(daemon.socket).speak(dialect)
        for option in (INFO, GO):
            size, flags = wire.go(option=option)
            assert size == SIZE
            assert bool(flags & SEND_DF) == (dialect != SIMPLE)
            assert not flags & BLOCK_STATUS_PAYLOAD or dialect == EXTENDED


def options_of_dialects(daemon):
    wire = Wire(daemon.socket)
    for option in (STRUCTURED_REPLY, EXTENDED_HEADERS):
        assert wire.outcome(option, b"x") == ERR_INVALID
    assert wire.outcome(STRUCTURED_REPLY) == REP_ACK
    assert wire.outcome(EXTENDED_HEADERS) == REP_ACK
    assert wire.outcome(STRUCTURED_REPLY) == ERR_EXT_HEADER_REQD
    wire.go()
    assert wire.read(0, 512) == bytes(512)


def export_name_after_extended_headers(daemon):
    wire = Wire(daemon.socket).speak(EXTENDED)
    wire.send(struct.pack(">QII", IHAVEOPT, EXPORT_NAME, 1) + b"a")
    assert wire.is_closed()


def every_command(daemon):
    for dialect in DIALECTS:
        wire = Wire(daemon.socket).speak(dialect)
        wire.go()
        for flags in (0, FUA):
            assert wire.write(4096, b"\x5a" * 8192, flags) == 0
            assert wire.ask(WRITE_ZEROES, 4096, 4096, flags).error == 0
            assert wire.ask(WRITE_ZEROES, 4096, 4096, flags | NO_HOLE).error == 0
            assert wire.ask(FLUSH, 0, 0, flags).error == 0
            assert wire.ask(CACHE, 0, MIB, flags).error == 0
            assert wire.read(4096, 8192, flags) == bytes(4096) + b"\x5a" * 4096
            assert wire.ask(TRIM, 0, MIB, flags).error == 0
        for flags in ((0, DF) if dialect != SIMPLE else (0,)):
            for length in (1, 511, 65536, 2 * MIB, SIZE):
                wire.read(SIZE - length, length, flags)


def wrong_requests(daemon):
    """Each gets the number that the document names, and the connection stays in step."""
    for dialect in DIALECTS:
        wire = Wire(daemon.socket).speak(dialect)
        wire.go()
        for error, command, offset, length, flags in [
            (EINVAL, READ, SIZE, 1, 0), (EINVAL, READ, SIZE - 512, 1024, 0),
            (EINVAL, READ, (1 << 64) - 1, 2, 0), (EINVAL, READ, 0, 64 * MIB + 1, 0),
            (EINVAL, READ, 0, 512, NO_HOLE), (EINVAL, READ, 0, 512, 1 << 15),
            (EINVAL, TRIM, SIZE, 1, 0), (EINVAL, CACHE, SIZE, 1, 0),
            (ENOSPC, WRITE_ZEROES, SIZE, 1, 0), (ENOSPC, WRITE_ZEROES, 4096, SIZE, 0),
            (EINVAL, WRITE_ZEROES, 0, 512, DF), (EINVAL, RESIZE, 0, 512, 0), (EINVAL, 77, 0, 0, 0),
            (EINVAL, FLUSH, 0, 0, REQ_ONE),
        ] + ([(EINVAL, READ, 0, 512, DF)] if dialect == SIMPLE else []):
            reply = wire.ask(command, offset, length, flags)
            assert reply.error == error, (command, offset, length, flags, reply.error, reply.text)
            assert dialect == SIMPLE or reply.text
            assert wire.read(0, 16) == bytes(16)
        assert wire.write(SIZE - 1, b"xy") == ENOSPC
        assert wire.ask(WRITE, 0, 300, 1 << 14, bytes(300)).error == EINVAL
        assert wire.read(0, 16) == bytes(16)


def errors_say_where(daemon):
    for dialect in (STRUCTURED, EXTENDED):
        wire = Wire(daemon.socket).speak(dialect)
        wire.go()
        reply = wire.ask(READ, SIZE - 512, 1024)
        assert reply.kinds == [CHUNK_ERROR_OFFSET] and reply.error_offset == SIZE


def extended_lengths(daemon):
    wire = Wire(daemon.socket).speak(EXTENDED)
    wire.go()
    for command in (TRIM, CACHE):
        assert wire.ask(command, 0, 1 << 40).error == EINVAL
        assert wire.ask(command, (1 << 64) - 1, (1 << 64) - 1).error == EINVAL
    assert wire.ask(WRITE_ZEROES, 0, 1 << 40).error == ENOSPC
    assert wire.ask(READ, 0, 1 << 40).error == EINVAL


def payloads_that_nobody_asked_for(daemon):
    wire = Wire(daemon.socket).speak(EXTENDED)
    wire.go()
    for command in (READ, FLUSH, TRIM, CACHE, WRITE_ZEROES, 77):
        assert wire.ask(command, 0, 1000, PAYLOAD_LEN, b"\xee" * 1000).error == EINVAL
    assert wire.read(0, 16) == bytes(16)
    # Wrong of the client; what it means is plain all the same.
    assert wire.ask(WRITE, 0, 3, 0, b"abc").error == 0
    assert wire.read(0, 4) == b"abc\0"
    assert wire.ask(WRITE_ZEROES, 0, 4).error == 0


def a_header_of_another_dialect(daemon):
    for dialect in DIALECTS:
        wire = Wire(daemon.socket).speak(dialect)
        wire.go()
        wire.dialect = SIMPLE if dialect == EXTENDED else EXTENDED
        wire.request(READ, 0, 512)
        wire.request(READ, 0, 512)
        assert wire.is_closed()


def many_at_once(daemon):
    """Replies come in any order and, here, whole; each cookie once."""
    wire = Wire(daemon.socket).speak(STRUCTURED)
    wire.go()
    cookies = [wire.request(READ, n * 4096, 4096) for n in range(100)]
    for cookie in cookies:
        assert wire.reply(cookie).error == 0


def zeroes_of_the_journal_are_not_sent(daemon):
    daemon.run("eject", "a")
    for dialect in DIALECTS:
        wire = Wire(daemon.socket).speak(dialect)
        wire.go()
        assert wire.write(MIB, b"\x77" * 4096) == 0
        assert wire.ask(WRITE_ZEROES, MIB + 4096, MIB).error == 0
        assert wire.write(2 * MIB + 4096, b"\x78" * 512) == 0
        content = b"\x77" * 4096 + bytes(MIB) + b"\x78" * 512
        for flags in ((0, DF) if dialect != SIMPLE else (0,)):
            reply = wire.ask(READ, MIB, len(content), flags)
            assert reply.bytes(MIB, len(content)) == content
            assert reply.holes == (MIB if dialect != SIMPLE and not flags else 0)
    daemon.run("insert", "a")


def an_absent_medium_is_named(daemon):
    daemon.run("eject", "a")
    for dialect in (STRUCTURED, EXTENDED):
        wire = Wire(daemon.socket).speak(dialect)
        wire.go()
        assert wire.write(8 * MIB, b"\x11" * 4096) == 0
        reply = wire.ask(READ, 8 * MIB, 8192)
        assert reply.error == EIO and "please insert volume a" in reply.text, reply.text
        assert reply.error_offset == 8 * MIB + 4096
    daemon.run("insert", "a")


ALL = {"base:allocation", "qemu:dirty-bitmap:journal", "x-hotbay:place"}


def contexts_are_listed(daemon):
    wire = Wire(daemon.socket)
    assert wire.contexts(LIST_META_CONTEXT) == ERR_INVALID
    wire.speak(STRUCTURED)
    for queries, found in [
        ([], ALL), (["base:"], {"base:allocation"}), (["base:allocation"], {"base:allocation"}),
        (["qemu:"], {"qemu:dirty-bitmap:journal"}), (["qemu:dirty-bitmap:"], {"qemu:dirty-bitmap:journal"}),
        (["x-nobody:", "other:leaf"], set()), (["base:nothing"], set()),
        (["base:", "base:allocation", "x-hotbay:place"], {"base:allocation", "x-hotbay:place"}),
    ]:
        assert set(wire.contexts(LIST_META_CONTEXT, *queries)) == found, queries
    assert wire.contexts(LIST_META_CONTEXT, export="nobody") == ERR_UNKNOWN
    wire.go()
    assert wire.ask(BLOCK_STATUS, 0, 512).error == EINVAL, "a LIST selects nothing"


def contexts_are_selected(daemon):
    assert Wire(daemon.socket).contexts(SET_META_CONTEXT, "base:allocation") == ERR_INVALID
    for dialect in (STRUCTURED, EXTENDED):
        for queries, found in [([], set()), (["base:"], set()), (["base:allocation"], {"base:allocation"}),
                               (["other:x", *ALL], ALL)]:
            wire = Wire(daemon.socket).speak(dialect)
            assert set(wire.contexts(SET_META_CONTEXT, *ALL)) == ALL
            selected = wire.contexts(SET_META_CONTEXT, *queries)
            assert set(selected) == found
            wire.go()
            reply = wire.ask(BLOCK_STATUS, 0, SIZE)
            assert set(reply.status) == set(selected.values()) and bool(reply.error) == (not found)


def malformed_contexts(daemon):
    wire = Wire(daemon.socket).speak(STRUCTURED)
    for option in (LIST_META_CONTEXT, SET_META_CONTEXT):
        assert wire.contexts(option, "no colon") == ERR_INVALID
        for data in (b"", text("a"), text("a") + struct.pack(">I", 2) + text("base:allocation"),
                     text("a") + struct.pack(">I", 1) + text("base:allocation") + b"x",
                     text("a") + struct.pack(">II", 1, 1 << 31)):
            assert wire.outcome(option, data) == ERR_INVALID
    wire.contexts(SET_META_CONTEXT, "base:allocation")
    assert wire.contexts(SET_META_CONTEXT, "base:allocation", export="nobody") == ERR_UNKNOWN
    wire.go()
    assert wire.ask(BLOCK_STATUS, 0, 512).error == EINVAL, "a SET that fails leaves nothing selected"


def contexts_belong_to_their_export(daemon):
    wire = Wire(daemon.socket).speak(STRUCTURED)
    wire.contexts(SET_META_CONTEXT, "base:allocation", export="b")
    wire.go("a")
    assert wire.ask(BLOCK_STATUS, 0, 512).error == EINVAL


def told(wire, selected, name, offset=0, length=SIZE, flags=0):
    """What a context says of a range, asked as often as it takes: (length, flags), neighbours joined."""
    whole, at = [], offset
    while at < offset + length:
        reply = wire.ask(BLOCK_STATUS, at, offset + length - at, flags)
        assert reply.error == 0, reply.text
        for size, value in reply.status[selected[name]]:
            if whole and whole[-1][1] == value:
                size += whole.pop()[0]
            whole.append((size, value))
        at = offset + sum(size for size, _ in whole)
    return whole


def holes_and_journal_are_told(daemon):
    """Of a medium: its holes. Without it: what the journal has, and that the rest is out of reach."""
    for dialect in (STRUCTURED, EXTENDED):
        wire = Wire(daemon.socket).speak(dialect)
        selected = wire.contexts(SET_META_CONTEXT, *ALL)
        wire.go()
        assert wire.ask(TRIM, 0, SIZE).error == 0
        assert wire.write(MIB, b"\x55" * MIB) == 0
        allocation, journal, place = sorted(ALL)
        for flags in (0, REQ_ONE):
            assert told(wire, selected, allocation, flags=flags) == [(MIB, 3), (MIB, 0), (62 * MIB, 3)]
            assert told(wire, selected, journal, flags=flags) == [(SIZE, 0)]
            assert told(wire, selected, place, flags=flags) == [(SIZE, 0)]
            assert told(wire, selected, allocation, MIB + 5, 10, flags) == [(10, 0)]
        daemon.run("eject", "a")
        assert wire.write(4 * MIB, b"\x66" * MIB) == 0
        assert wire.ask(WRITE_ZEROES, 5 * MIB, MIB).error == 0
        for flags in (0, REQ_ONE):
            assert told(wire, selected, allocation, flags=flags) == [(5 * MIB, 0), (MIB, 3), (58 * MIB, 0)]
            assert told(wire, selected, journal, flags=flags) == [(4 * MIB, 0), (2 * MIB, 1), (58 * MIB, 0)]
            assert told(wire, selected, place, flags=flags) == [(4 * MIB, 2), (2 * MIB, 1), (58 * MIB, 2)]
        daemon.run("insert", "a")
        daemon.run("wait", "a", "present")
        assert told(wire, selected, journal) == [(SIZE, 0)]
        assert told(wire, selected, allocation) == [(MIB, 3), (MIB, 0), (2 * MIB, 3), (MIB, 0), (59 * MIB, 3)]


def status_with_a_payload(daemon):
    wire = Wire(daemon.socket).speak(EXTENDED)
    selected = wire.contexts(SET_META_CONTEXT, "base:allocation", "x-hotbay:place")
    size, flags = wire.go()
    assert flags & BLOCK_STATUS_PAYLOAD
    one, other = selected.values()
    def ask(length, *contexts):
        payload = struct.pack(">Q", length) + b"".join(struct.pack(">I", c) for c in contexts)
        return wire.ask(BLOCK_STATUS, 0, len(payload), PAYLOAD_LEN, payload)
    assert set(ask(SIZE, one).status) == {one}
    assert set(ask(SIZE, other, one).status) == {one, other}
    for wrong in (ask(SIZE), ask(SIZE, one, one), ask(SIZE, 77), ask(SIZE, 1), ask(1 << 40, one)):
        assert wrong.error == EINVAL
    for size in (0, 7, 11, 13, 1000):
        assert wire.ask(BLOCK_STATUS, 0, size, PAYLOAD_LEN, b"\1" * size).error == EINVAL, size
    assert ask(SIZE, one).error == 0


def wrong_status(daemon):
    for dialect in (STRUCTURED, EXTENDED):
        wire = Wire(daemon.socket).speak(dialect)
        wire.contexts(SET_META_CONTEXT, *ALL)
        wire.go()
        for offset, length, flags in [(SIZE, 1, 0), (0, SIZE + 1, 0), (0, 0, 0), (0, 512, DF),
                                      (0, 512, 1 << 13), ((1 << 64) - 1, 5, 0)]:
            assert wire.ask(BLOCK_STATUS, offset, length, flags).error == EINVAL, (offset, length, flags)
        assert wire.ask(BLOCK_STATUS, 0, 512, FUA).error == 0
    wire = Wire(daemon.socket)
    wire.go()
    assert wire.ask(BLOCK_STATUS, 0, 512).error == EINVAL


def many_pieces_come_in_several_replies(daemon):
    daemon.run("eject", "a")
    wire = Wire(daemon.socket).speak(STRUCTURED)
    selected = wire.contexts(SET_META_CONTEXT, *ALL)
    wire.go()
    for n in range(1500):
        assert wire.write(32 * MIB + n * 8192, b"\x99" * 512) == 0
    reply = wire.ask(BLOCK_STATUS, 32 * MIB, 16 * MIB)
    assert all(len(extents) <= 1024 for extents in reply.status.values())
    dirty = told(wire, selected, "qemu:dirty-bitmap:journal", 32 * MIB, 16 * MIB)
    assert dirty[:4] == [(512, 1), (7680, 0)] * 2 and len(dirty) == 3000
    daemon.run("insert", "a")


RULES = [
    flags_follow_the_dialect, options_of_dialects, export_name_after_extended_headers, every_command,
    wrong_requests, errors_say_where, extended_lengths, payloads_that_nobody_asked_for,
    a_header_of_another_dialect, many_at_once, zeroes_of_the_journal_are_not_sent,
    an_absent_medium_is_named, contexts_are_listed, contexts_are_selected, malformed_contexts,
    contexts_belong_to_their_export, holes_and_journal_are_told, status_with_a_payload, wrong_status,
    many_pieces_come_in_several_replies,
]

keeps(RULES, CONFIG, blank("a.img", 64))
