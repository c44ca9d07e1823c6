#!/usr/bin/python3
"""STARTTLS, rule by rule, against an independent client (lib/wire.py over Python's own TLS): what is answered before it, what is
forgotten by it, what somebody on the way can put behind it, and that a session in TLS is a session."""

import pathlib
import random
import ssl
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from daemon import HOTBAY, Daemon, try_each
from wire import *

MIB = 1 << 20
SIZE = 128 * MIB
LAST = SIZE - 512                        # no rule writes there
CONFIG = """
handshake_timeout = "1s"
{tls}
[[volume]]
name = "a"
medium = "mem:128MiB"
"""
TLS = """
[tls]
mode = "required"
certificate = "tls/server-cert.pem"
key = "tls/server-key.pem"
client_ca = "tls/ca-cert.pem"
client_certificate = "{clients}"
"""


class Server(Daemon):
    """One that listens on TCP too; `place` is where TLS is required, `socket` where it is offered."""

    def __init__(self, tls):
        super().__init__(CONFIG.format(tls=tls), self.prepare)

    def prepare(self, directory):
        for name in ("tls", "stranger"):
            subprocess.run([HOTBAY, "tls", "make", directory / name], check=True, stdout=subprocess.DEVNULL)
        self.make_expired(directory / "tls", directory / "expired")

    def make_expired(self, ca, place):
        """A client's certificate by the right CA that held for no more than the second in which it was made."""
        place.mkdir()
        # Without an extension it would be a certificate of the first version, which nobody takes.
        (place / "extensions").write_text("extendedKeyUsage = clientAuth\n")
        request, key, certificate = place / "request", place / "client-key.pem", place / "client-cert.pem"
        for words in (["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                       "-subj", "/CN=client", "-keyout", key, "-out", request],
                      ["x509", "-req", "-in", request, "-CA", ca / "ca-cert.pem", "-CAkey", ca / "ca-key.pem",
                       "-days", "0", "-extfile", place / "extensions", "-out", certificate]):
            subprocess.run(["openssl", *words], check=True, stderr=subprocess.DEVNULL)
        time.sleep(2)

    def start(self, *more):
        super().start("--listen", "tcp:127.0.0.1:0")
        self.place = self.tcp_place()

    def context(self, name="tls"):
        """A client that believes in the server's CA and shows a certificate, or none."""
        context = ssl.create_default_context(cafile=self.directory / "tls" / "ca-cert.pem")
        if name:
            directory = self.directory / name
            context.load_cert_chain(directory / "client-cert.pem", directory / "client-key.pem")
        return context


def option(number, data=b""):
    return struct.pack(">QII", IHAVEOPT, number, len(data)) + data


def about(name):
    return text(name) + struct.pack(">H", 0)


def nothing_is_told_in_the_clear(server):
    wire = Wire(server.place)
    for number in (LIST, INFO, GO, STRUCTURED_REPLY, LIST_META_CONTEXT, SET_META_CONTEXT, EXTENDED_HEADERS, 4, 99):
        assert wire.outcome(number, about("a")) == ERR_TLS_REQD
    assert wire.outcome(GO, bytes(100_000)) == ERR_TLS_REQD
    assert wire.outcome(STARTTLS, b"x") == ERR_INVALID
    assert wire.outcome(ABORT) == REP_ACK and wire.is_closed()
    # The old way in, and with a client that knows no other.
    for flags in (3, 2, 0):
        wire = Wire(server.place, flags)
        wire.send(option(EXPORT_NAME, b"a"))
        assert wire.take_all() == b"", "EXPORT_NAME in the clear is answered"


def in_tls_all_is_as_ever(server):
    for place in (server.place, server.socket):
        for dialect in (SIMPLE, STRUCTURED, EXTENDED):
            wire = Wire(place).start_tls(server.context()).speak(dialect)
            assert [data for kind, data in wire.option(LIST) if kind == REP_SERVER][0].startswith(text("a"))
            assert wire.outcome(STARTTLS) == ERR_INVALID, "a second STARTTLS"
            assert wire.outcome(STARTTLS, b"x") == ERR_INVALID
            assert wire.go()[0] == SIZE
            data = bytes(range(256)) * 4096
            assert wire.write(12345, data, FUA) == 0
            assert wire.read(12345, len(data)) == data
            assert len(wire.read(0, 64 * MIB)) == 64 * MIB
            assert wire.write(0, bytes(64 * MIB)) == 0
            assert wire.ask(READ, SIZE, 1).error == EINVAL
            cookies = [wire.request(READ, n * 65536, 65536) for n in range(200)]
            for cookie in cookies:
                assert wire.reply(cookie).error == 0
            wire.request(DISC, 0, 0)
            assert wire.says_goodbye()


def a_long_write_may_be_cut_anywhere(server):
    """It is carried out in parts: neither they nor its header end where records of TLS do, and it is answered once."""
    for dialect in (SIMPLE, STRUCTURED, EXTENDED):
        wire = Wire(server.place).start_tls(server.context()).speak(dialect)
        wire.go()
        data = random.Random(dialect).randbytes(3 * MIB + 77)
        for piece in (613, 16000, 100_003):
            offset = 5 * MIB + piece
            assert wire.write(offset - 512, b"\x11" * 512) == wire.write(offset + len(data), b"\x22" * 512) == 0
            message = Kept(wire).write(offset, data)
            for at in range(0, len(message), piece):
                wire.send(message[at:at + piece])
            assert wire.reply(wire.cookie).error == 0
            assert wire.ask(FLUSH, 0, 0).error == 0
            other = Wire(server.socket)
            other.go()
            assert other.read(offset - 512, len(data) + 1024) == b"\x11" * 512 + data + b"\x22" * 512


def who_leaves_without_a_word_has_left(server):
    """Without a close_notify, as whoever is killed; `check` looks into the log."""
    for goes in (False, True):
        wire = Wire(server.place).start_tls(server.context())
        wire.option(LIST)
        if goes:
            wire.go()
        wire.socket.close()


class Kept:
    """What a wire would send, kept to be sent in another way."""

    def __init__(self, wire):
        self.wire = wire

    def write(self, offset, data):
        kept = []
        self.wire.send = kept.append
        self.wire.request(WRITE, offset, len(data), PAYLOAD_LEN if self.wire.dialect == EXTENDED else 0, data)
        del self.wire.send
        return b"".join(kept)


def a_long_write_that_is_cut_off_is_in_nobodys_way(server):
    wire = Wire(server.place).start_tls(server.context())
    wire.go()
    wire.send(Kept(wire).write(0, b"\x77" * 4 * MIB)[:2 * MIB])
    wire.socket.close()
    other = Wire(server.place).start_tls(server.context())
    other.go()
    assert other.write(0, b"\x33" * 4 * MIB) == 0
    assert other.ask(FLUSH, 0, 0).error == 0
    assert other.read(4 * MIB - 512, 512) == b"\x33" * 512


def export_name_in_tls(server):
    wire = Wire(server.place).start_tls(server.context())
    wire.send(option(EXPORT_NAME, b"a"))
    assert struct.unpack(">Q", wire.take(10)[:8]) == (SIZE,)
    assert wire.read(LAST, 512) == bytes(512)


def what_was_agreed_upon_is_forgotten(server):
    for dialect in (STRUCTURED, EXTENDED):
        wire = Wire(server.socket).speak(dialect)
        assert wire.contexts(SET_META_CONTEXT, "base:allocation")
        wire.start_tls(server.context())
        assert wire.contexts(SET_META_CONTEXT, "base:allocation") == ERR_INVALID
        assert not wire.go()[1] & SEND_DF
        assert wire.read(LAST, 512) == bytes(512)
        assert wire.ask(BLOCK_STATUS, 0, 512).error == EINVAL


def bytes_in_the_clear_count_for_nothing(server):
    """Somebody on the way puts options behind STARTTLS: with it, after it, and before the client's own first bytes."""
    for place in (server.place, server.socket):
        for behind in (option(GO, about("a")), option(LIST), b"\x16"):
            wire = Wire(place)
            wire.send(option(STARTTLS) + behind)
            assert wire.take_all() in (b"", ACKNOWLEDGED), "bytes behind STARTTLS are answered"
            wire = Wire(place)
            assert wire.outcome(STARTTLS) == REP_ACK
            wire.send(behind)
            try:
                wire.wrap(server.context())
                raise AssertionError("TLS begins behind bytes in the clear")
            except (ssl.SSLError, OSError):
                pass


ACKNOWLEDGED = struct.pack(">QIII", OPTION_REPLY, STARTTLS, REP_ACK, 0)


def only_our_clients_are_served(server):
    for name in ("stranger", "expired", None):
        for place in (server.place, server.socket):
            wire = Wire(place)
            try:
                wire.start_tls(server.context(name))
                # In TLS 1.3 a client finds out by the first thing that it reads.
                wire.option(LIST)
                raise AssertionError(f"{name} is served")
            except (ssl.SSLError, OSError, EOFError):
                pass


def silence_is_bounded(server):
    """Whoever stops in the middle of it is hung up on: before, in and after the handshake of TLS."""
    stopped = Wire(server.place)
    amid = Wire(server.place)
    assert amid.outcome(STARTTLS) == REP_ACK
    amid.send(b"\x16\x03\x01\x02\x00")
    inside = Wire(server.place).start_tls(server.context())
    for wire in (stopped, amid, inside):
        assert wire.is_closed()


def a_client_that_does_not_read_holds_up_nobody(server):
    greedy = Wire(server.place).start_tls(server.context())
    greedy.go()
    for _ in range(64):
        greedy.request(READ, 0, 32 * MIB)
    other = Wire(server.place).start_tls(server.context())
    other.go()
    assert other.write(0, b"\x5a" * MIB) == 0
    assert other.read(0, MIB) == b"\x5a" * MIB
    assert server.resident_mib() < 1024, "what nobody reads is kept without a bound"


def without_tls_it_is_refused(server):
    for place in (server.place, server.socket):
        wire = Wire(place)
        assert wire.outcome(STARTTLS, b"x") == ERR_INVALID
        assert wire.outcome(STARTTLS) == ERR_POLICY
        assert wire.go()[0] == SIZE
        assert wire.read(LAST, 512) == bytes(512)


def a_certificate_may_be_left_out(server):
    wire = Wire(server.place).start_tls(server.context(None))
    wire.go()
    assert wire.read(LAST, 512) == bytes(512)
    try:
        Wire(server.place).start_tls(server.context("stranger")).option(LIST)
        raise AssertionError("a stranger is served")
    except (ssl.SSLError, OSError, EOFError):
        pass


def check(tls, *rules):
    with Server(tls) as server:
        try_each(rules, server)
        server.stop()
        said = (server.directory / "log").read_text()
        assert "close_notify" not in said, "a client that has left is taken for a connection that broke"


check(TLS.format(clients="required"),
      nothing_is_told_in_the_clear, in_tls_all_is_as_ever, a_long_write_may_be_cut_anywhere,
      a_long_write_that_is_cut_off_is_in_nobodys_way, who_leaves_without_a_word_has_left, export_name_in_tls, what_was_agreed_upon_is_forgotten,
      bytes_in_the_clear_count_for_nothing, only_our_clients_are_served, silence_is_bounded,
      a_client_that_does_not_read_holds_up_nobody)
check(TLS.format(clients="optional"), a_certificate_may_be_left_out)
check("", without_tls_it_is_refused)
