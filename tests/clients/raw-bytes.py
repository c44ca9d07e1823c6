#!/usr/bin/python3
"""A client that speaks the protocol by hand, byte by byte and badly: unknown commands and options,
lengths beyond reason, a hang-up in mid-request, silence. The daemon answers or hangs up, and serves
the next client as if nothing had been."""

import pathlib
import socket
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from daemon import Daemon, blank

CONFIG = """
[[volume]]
name = "a"
medium = "a.img"
"""
OPTION, REPLY, REQUEST, SIMPLE = 0x49484156454F5054, 0x0003E889045565A9, 0x25609513, 0x67446698
EXPORT_NAME, LIST, GO = 1, 3, 7
ACK, ERR_UNSUP, ERR_UNKNOWN = 1, (1 << 31) + 1, (1 << 31) + 6
READ, WRITE, RESIZE = 0, 1, 8
EINVAL = 22


class Wire:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))

    def send(self, data):
        self.socket.sendall(data)

    def take(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def gone(self):
        """The daemon hung up, perhaps after some last words."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True

    def greet(self, flags=3):
        magic, option, offered = struct.unpack(">QQH", self.take(18))
        assert (magic, option, offered & 3) == (0x4E42444D41474943, OPTION, 3)
        self.send(struct.pack(">I", flags))
        return self

    def option(self, number, data=b"", length=None):
        self.send(struct.pack(">QII", OPTION, number, len(data) if length is None else length) + data)

    def replies(self, number):
        """The option's replies up to the last one: (kind, data)."""
        while True:
            magic, echoed, kind, length = struct.unpack(">QIII", self.take(20))
            assert (magic, echoed) == (REPLY, number)
            yield kind, self.take(length)
            if kind == ACK or kind >= 1 << 31:
                return

    def enter(self, name=b"a"):
        self.option(GO, struct.pack(">I", len(name)) + name + struct.pack(">H", 0))
        assert list(self.replies(GO))[-1][0] == ACK
        return self

    def request(self, command, cookie, offset, length, flags=0, magic=REQUEST):
        self.send(struct.pack(">IHHQQI", magic, flags, command, cookie, offset, length))

    def answer(self, cookie):
        magic, error, echoed = struct.unpack(">IIQ", self.take(16))
        assert (magic, echoed) == (SIMPLE, cookie)
        return error


def unknown_option_keeps_step(path):
    wire = Wire(path).greet()
    for number, data in ((99, b""), (0xFFFFFFFF, b"x" * 1000)):
        wire.option(number, data)
        assert [kind for kind, _ in wire.replies(number)] == [ERR_UNSUP]
    wire.option(GO, struct.pack(">I", 6) + b"nobody" + struct.pack(">H", 0))
    assert list(wire.replies(GO))[-1][0] == ERR_UNKNOWN
    wire.enter()


def list_with_data_keeps_step(path):
    wire = Wire(path).greet()
    wire.option(LIST, b"junk")
    assert list(wire.replies(LIST))[-1][0] >= 1 << 31
    wire.option(LIST)
    assert any(data[:5] == struct.pack(">I", 1) + b"a" for _, data in wire.replies(LIST))


def garbled_go_keeps_step(path):
    wire = Wire(path).greet()
    for data in (b"", b"\xff\xff\xff\xff", struct.pack(">I", 1) + b"a" + struct.pack(">H", 9)):
        wire.option(GO, data)
        assert list(wire.replies(GO))[-1][0] >= 1 << 31
    wire.enter()


def old_style_entry_works(path):
    wire = Wire(path).greet()
    wire.option(EXPORT_NAME, b"a")
    size, _flags = struct.unpack(">QH", wire.take(10))
    assert size == 16 << 20
    wire.request(READ, 7, 0, 512)
    assert wire.answer(7) == 0
    wire.take(512)


def unknown_command_keeps_step(path):
    wire = Wire(path).greet().enter()
    for command in (RESIZE, 77, 0xFFFF):
        wire.request(command, command, 0, 512)
        assert wire.answer(command) == EINVAL
    wire.request(READ, 5, 0, 512)
    assert wire.answer(5) == 0


def endless_read_is_refused(path):
    wire = Wire(path).greet().enter()
    wire.request(READ, 1, 0, 0xFFFFFFFF)
    assert wire.answer(1) != 0
    wire.request(READ, 2, 0, 512)
    assert wire.answer(2) == 0


def hang_up(path):
    """Unknown client flags, a bad magic, a payload beyond reason: the stream cannot be trusted."""
    assert Wire(path).greet(flags=0xFF).gone()

    wire = Wire(path).greet()
    wire.option(99, length=0xFFFFFFF0)
    try:
        wire.send(b"x" * 65536)
        wire.socket.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # it did not even wait for the rest
    assert wire.gone()

    wire = Wire(path).greet()
    wire.send(b"GET / HTTP/1.1\r\nHost: hotbay\r\n\r\n")
    assert wire.gone()

    wire = Wire(path).greet().enter()
    wire.request(READ, 1, 0, 512, magic=0xDEADBEEF)
    assert wire.gone()


def die_in_mid_request(path):
    for sent in (0, 1, 4095):
        wire = Wire(path).greet().enter()
        wire.request(WRITE, 1, 0, 4096)
        wire.send(b"\xee" * sent)
        wire.socket.close()
    for count in range(18):
        wire = Wire(path)
        wire.send(b"\0" * count)
        wire.socket.close()


def half_a_write_changes_nothing_it_was_not_sent(path):
    wire = Wire(path).greet().enter()
    wire.request(WRITE, 1, 1 << 20, 4096)
    wire.send(b"\xee" * 100)
    wire.socket.close()
    other = Wire(path).greet().enter()
    other.request(READ, 1, (1 << 20) + 4096, 512)
    assert other.answer(1) == 0
    assert other.take(512) == bytes(512)


def next_client_is_served(path):
    wire = Wire(path).greet().enter()
    wire.request(READ, 1, 0, 512)
    assert wire.answer(1) == 0
    wire.take(512)


with Daemon(CONFIG, blank("a.img", 16)) as daemon:
    for misuse in (unknown_option_keeps_step, list_with_data_keeps_step, garbled_go_keeps_step,
                   old_style_entry_works, unknown_command_keeps_step, endless_read_is_refused,
                   hang_up, die_in_mid_request, half_a_write_changes_nothing_it_was_not_sent):
        try:
            misuse(daemon.socket)
            next_client_is_served(daemon.socket)
        except Exception as failure:
            raise AssertionError(misuse.__name__) from failure
    daemon.stop()
