#!/usr/bin/python3
"""The protocol document, rule by rule, against an independent client (lib/wire.py): negotiation of structured replies and
extended headers, chunks, 64-bit lengths, error numbers and texts, payloads that nobody asked for."""

import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from daemon import Daemon, blank
from wire import *

MIB = 1 << 20
SIZE = 64 * MIB
CONFIG = """
[[volume]]
name = "a"
medium = "a.img"
absent_reads = "error"
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


RULES = [
    flags_follow_the_dialect, options_of_dialects, export_name_after_extended_headers, every_command,
    wrong_requests, errors_say_where, extended_lengths, payloads_that_nobody_asked_for,
    a_header_of_another_dialect, many_at_once, zeroes_of_the_journal_are_not_sent,
    an_absent_medium_is_named,
]

with Daemon(CONFIG, blank("a.img", 64)) as daemon:
    for rule in RULES:
        try:
            rule(daemon)
        except Exception as failure:
            raise AssertionError(rule.__name__) from failure
    daemon.stop()
