"""The NBD protocol spoken by hand, written after doc/proto.md and nothing else: every reply is held against the rules of
the document as it comes in."""

import socket
import ssl
import struct

NBDMAGIC, IHAVEOPT, OPTION_REPLY = 0x4E42444D41474943, 0x49484156454F5054, 0x0003E889045565A9
REQUEST, EXTENDED_REQUEST = 0x25609513, 0x21E41C71
SIMPLE, STRUCTURED, EXTENDED = 0x67446698, 0x668E33EF, 0x6E8A278C

EXPORT_NAME, ABORT, LIST, STARTTLS, INFO, GO, STRUCTURED_REPLY = 1, 2, 3, 5, 6, 7, 8
LIST_META_CONTEXT, SET_META_CONTEXT, EXTENDED_HEADERS = 9, 10, 11
REP_ACK, REP_SERVER, REP_INFO, REP_META_CONTEXT = 1, 2, 3, 4
ERR = 1 << 31
ERR_UNSUP, ERR_POLICY, ERR_INVALID, ERR_TLS_REQD = ERR + 1, ERR + 2, ERR + 3, ERR + 5
ERR_UNKNOWN, ERR_TOO_BIG, ERR_EXT_HEADER_REQD = ERR + 6, ERR + 9, ERR + 10

READ, WRITE, DISC, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS, RESIZE = range(9)
FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO, PAYLOAD_LEN = (1 << bit for bit in range(6))
SEND_DF, CAN_FAST_ZERO, BLOCK_STATUS_PAYLOAD = 1 << 7, 1 << 11, 1 << 12

CHUNK_NONE, CHUNK_DATA, CHUNK_HOLE, CHUNK_STATUS, CHUNK_STATUS_EXT = 0, 1, 2, 5, 6
CHUNK_ERROR, CHUNK_ERROR_OFFSET = 1 << 15 | 1, 1 << 15 | 2
EPERM, EIO, ENOMEM, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP, ESHUTDOWN = 1, 5, 12, 22, 28, 75, 95, 108
ERRORS = {EPERM, EIO, ENOMEM, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP, ESHUTDOWN}


class Reply:
    """What a request was answered with, all chunks together."""

    def __init__(self):
        self.error, self.text, self.error_offset = 0, "", None
        self.data, self.holes, self.kinds = {}, 0, []
        self.status = {}  # context id: [(length, flags)]

    def bytes(self, offset, length):
        """What a READ of this range gave; every byte once."""
        whole, at = b"", offset
        for start in sorted(self.data):
            assert start == at, f"bytes are missing or come twice at {at}"
            whole += self.data[start]
            at += len(self.data[start])
        assert at == offset + length, "the reply is shorter or longer than the request"
        return whole


class Wire:
    """One connection. `dialect` is what was agreed upon so far: SIMPLE, STRUCTURED or EXTENDED."""

    def __init__(self, place, flags=3):
        """`place` is the path of a Unix socket, or host and port."""
        is_tcp = isinstance(place, tuple)
        self.socket = socket.socket(socket.AF_INET if is_tcp else socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(place if is_tcp else str(place))
        self.dialect, self.cookie, self.sent = SIMPLE, 0, {}
        magic, option, offered = struct.unpack(">QQH", self.take(18))
        assert (magic, option, offered & 3) == (NBDMAGIC, IHAVEOPT, 3)
        self.send(struct.pack(">I", flags))

    def send(self, data):
        self.socket.sendall(data)

    def take(self, count):
        data = bytearray()
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)

    def is_closed(self):
        """The server hung up, perhaps after some last words."""
        try:
            while self.socket.recv(65536):
                pass
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            pass
        return True

    def take_all(self, most=1 << 20):
        """All that comes until the server hangs up, or so much."""
        whole = b""
        try:
            while len(whole) < most and (piece := self.socket.recv(65536)):
                whole += piece
        except (ConnectionResetError, ssl.SSLError):
            pass
        return whole

    def says_goodbye(self):
        """The server ended TLS before the connection, so that nobody else can have ended it."""
        while self.socket.recv(65536):
            pass
        return True

    # --- options

    def option(self, number, data=b""):
        """Makes an option and gives its replies, (kind, data), the last of which ends it."""
        self.send(struct.pack(">QII", IHAVEOPT, number, len(data)) + data)
        replies = []
        while not replies or not (replies[-1][0] == REP_ACK or replies[-1][0] & ERR):
            magic, echoed, kind, length = struct.unpack(">QIII", self.take(20))
            assert (magic, echoed) == (OPTION_REPLY, number)
            replies.append((kind, self.take(length)))
        if replies[-1][0] & ERR:
            replies[-1][1].decode()
        elif number == STRUCTURED_REPLY:
            self.dialect = STRUCTURED
        elif number == EXTENDED_HEADERS:
            self.dialect = EXTENDED
        return replies

    def outcome(self, number, data=b""):
        return self.option(number, data)[-1][0]

    def start_tls(self, context):
        """STARTTLS: what was agreed upon counts no more."""
        assert self.outcome(STARTTLS) == REP_ACK
        self.wrap(context)
        return self

    def wrap(self, context):
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost", suppress_ragged_eofs=False)
        self.dialect = SIMPLE

    def speak(self, dialect):
        if dialect == STRUCTURED:
            assert self.outcome(STRUCTURED_REPLY) == REP_ACK
        elif dialect == EXTENDED:
            assert self.outcome(EXTENDED_HEADERS) == REP_ACK
        return self

    def go(self, name="a", option=GO):
        """Opens an export, or asks about it; gives its size and flags."""
        replies = self.option(option, text(name) + struct.pack(">H", 0))
        assert replies[-1][0] == REP_ACK, replies
        (about,) = [data for kind, data in replies if kind == REP_INFO and data[:2] == b"\0\0"]
        return struct.unpack(">QH", about[2:])

    def contexts(self, option, *queries, export="a"):
        """LIST or SET_META_CONTEXT: the contexts by name, or the error."""
        data = text(export) + struct.pack(">I", len(queries)) + b"".join(map(text, queries))
        replies = self.option(option, data)
        if replies[-1][0] != REP_ACK:
            return replies[-1][0]
        assert all(kind == REP_META_CONTEXT for kind, _ in replies[:-1])
        found = {data[4:].decode(): struct.unpack(">I", data[:4])[0] for _, data in replies[:-1]}
        assert len(set(found.values())) == len(found) or option == LIST_META_CONTEXT
        return found

    # --- requests

    def request(self, command, offset, length, flags=0, payload=b""):
        """Sends a request; gives its cookie. `length` is what the header says."""
        self.cookie += 1
        head = struct.pack(">HHQQ", flags, command, self.cookie, offset)
        if self.dialect == EXTENDED:
            message = struct.pack(">I", EXTENDED_REQUEST) + head + struct.pack(">Q", length)
        else:
            message = struct.pack(">I", REQUEST) + head + struct.pack(">I", length)
        self.sent[self.cookie] = (command, offset, length, flags)
        self.send(message + payload)
        return self.cookie

    def ask(self, command, offset, length, flags=0, payload=b""):
        """Makes a request and gives the whole reply, which must be the next on the connection."""
        return self.reply(self.request(command, offset, length, flags, payload))

    def write(self, offset, data, flags=0):
        if self.dialect == EXTENDED:
            flags |= PAYLOAD_LEN
        return self.ask(WRITE, offset, len(data), flags, data).error

    def read(self, offset, length, flags=0):
        reply = self.ask(READ, offset, length, flags)
        assert reply.error == 0, (reply.error, reply.text)
        return reply.bytes(offset, length)

    def reply(self, cookie):
        reply, done = Reply(), False
        while not done:
            done = self._message(cookie, reply)
        self._check_whole(cookie, reply)
        return reply

    def _message(self, cookie, reply):
        (magic,) = struct.unpack(">I", self.take(4))
        command, offset, length, _ = self.sent[cookie]
        if magic == SIMPLE:
            assert self.dialect != EXTENDED, "a simple reply among extended headers"
            assert not reply.kinds, "a simple reply behind a chunk"
            reply.error, echoed = struct.unpack(">IQ", self.take(12))
            assert echoed == cookie
            assert self.dialect == SIMPLE or command not in (READ, BLOCK_STATUS), \
                "a READ or BLOCK_STATUS has to be answered in chunks"
            if command == READ and reply.error == 0:
                reply.data[offset] = self.take(length)
            return True
        assert magic == self.dialect != SIMPLE, hex(magic)
        flags, kind, echoed = struct.unpack(">HHQ", self.take(12))
        assert echoed == cookie
        assert flags & ~1 == 0, "an unknown flag of a chunk"
        if magic == EXTENDED:
            echoed_offset, size = struct.unpack(">QQ", self.take(16))
            assert echoed_offset == offset, "the request's offset does not come back"
        else:
            (size,) = struct.unpack(">I", self.take(4))
        self._chunk(reply, kind, self.take(size), self.sent[cookie])
        reply.kinds.append(kind)
        if kind == CHUNK_NONE:
            assert flags & 1, "NONE that is not the last chunk"
        return bool(flags & 1)

    def _chunk(self, reply, kind, data, sent):
        command, offset, length, flags = sent
        if kind == CHUNK_NONE:
            assert data == b""
        elif kind in (CHUNK_DATA, CHUNK_HOLE):
            assert command == READ and len(data) > 8
            (at,) = struct.unpack(">Q", data[:8])
            content = data[8:]
            if kind == CHUNK_HOLE:
                (count,) = struct.unpack(">I", content)
                assert count > 0
                content, reply.holes = bytes(count), reply.holes + count
            assert offset <= at and at + len(content) <= offset + length
            assert at not in reply.data
            reply.data[at] = content
        elif kind in (CHUNK_STATUS, CHUNK_STATUS_EXT):
            assert command == BLOCK_STATUS
            extended = kind == CHUNK_STATUS_EXT
            assert extended == (self.dialect == EXTENDED)
            (context,) = struct.unpack(">I", data[:4])
            data = data[4:]
            if extended:
                (count,) = struct.unpack(">I", data[:4])
                data = data[4:]
                assert len(data) == 16 * count, "the number of descriptors is not what it says"
            extents = list(struct.iter_unpack(">QQ" if extended else ">II", data))
            assert extents and all(size > 0 for size, _ in extents)
            assert context not in reply.status, "a context comes twice"
            reply.status[context] = extents
        elif kind & 1 << 15:
            error, size = struct.unpack(">IH", data[:6])
            assert error in ERRORS, error
            reply.error, reply.text = error, data[6:6 + size].decode()
            rest = data[6 + size:]
            if kind == CHUNK_ERROR_OFFSET:
                (reply.error_offset,) = struct.unpack(">Q", rest)
                assert offset <= reply.error_offset < offset + length
            else:
                assert kind == CHUNK_ERROR and rest == b""
        else:
            raise AssertionError(f"an unknown chunk {kind}")

    def _check_whole(self, cookie, reply):
        command, _, length, flags = self.sent.pop(cookie)
        assert reply.error == 0 or reply.error in ERRORS, reply.error
        contents = [kind for kind in reply.kinds if kind not in (CHUNK_NONE, CHUNK_ERROR)]
        if command == READ and flags & DF:
            assert len(contents) <= 1, "a READ with DF in several chunks"
        if flags & PAYLOAD_LEN:
            return
        for extents in reply.status.values():
            assert sum(size for size, _ in extents[:-1]) < length, "extents behind the end"
            if flags & REQ_ONE:
                assert len(extents) == 1 and extents[0][0] <= length


def text(string):
    """A string as its length and its bytes."""
    data = string.encode()
    return struct.pack(">I", len(data)) + data
