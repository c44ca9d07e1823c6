//! Sessions with structured replies and with extended headers.

use super::requests::Agrees;
use super::*;

const DIALECTS: [Dialect; 2] = [Dialect::Structured, Dialect::Extended];

/// A chunk as it came: cookie, kind, whether it is the last, payload.
type Chunk = (u64, u16, bool, Vec<u8>);

async fn chunk(client: &mut DuplexStream, dialect: Dialect) -> Chunk {
    let (magic, bytes) = match dialect {
        Dialect::Extended => (0x6e8a_278c, 32),
        _ => (0x668e_33ef, 20),
    };
    let mut header = vec![0; bytes];
    client.read_exact(&mut header).await.unwrap();
    let mut header = header.as_slice();
    assert_eq!(header.get_u32(), magic);
    let (flags, kind, cookie) = (header.get_u16(), header.get_u16(), header.get_u64());
    assert_eq!(flags & !1, 0);
    let length = match dialect {
        Dialect::Extended => {
            assert_eq!(header.get_u64(), OFFSET, "the offset of the request comes back");
            header.get_u64()
        }
        _ => header.get_u32().into(),
    };
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    client.read_exact(&mut payload).await.unwrap();
    (cookie, kind, flags == 1, payload)
}

/// Of every request here.
const OFFSET: u64 = 4096;

fn ask(dialect: Dialect, command: Command, cookie: u64, length: u64) -> BytesMut {
    ask_with(dialect, command, CommandFlags::NONE, cookie, length)
}

fn ask_with(
    dialect: Dialect,
    command: Command,
    flags: CommandFlags,
    cookie: u64,
    length: u64,
) -> BytesMut {
    let mut bytes = BytesMut::new();
    let cookie = Cookie(cookie);
    RequestHeader { command, flags, cookie, offset: OFFSET, length }.encode(&mut bytes, dialect);
    bytes
}

fn stage_in(dialect: Dialect) -> Stage {
    let (calls_in, calls) = mpsc::channel(1000);
    let (answered_in, answered) = watch::channel(0);
    let (exchange, exchanged) = watch::channel(false);
    let device = Arc::new(Scripted { calls: calls_in, answered: answered_in, exchanged });
    let (client, stop, session) = start_in(dialect, 4096, Limits::default(), device);
    Stage { client, calls, answered, exchange, stop, session }
}

fn at(offset: u64, rest: &[u8]) -> Vec<u8> {
    [&offset.to_be_bytes(), rest].concat()
}

#[tokio::test]
async fn a_read_comes_in_chunks_with_zeroes_as_holes() {
    for dialect in DIALECTS {
        let mut stage = stage_in(dialect);
        for flags in [CommandFlags::NONE, CommandFlags::DF] {
            let request = ask_with(dialect, Command::Read, flags, 5, 1003);
            stage.client.write_all(&request).await.unwrap();
            let call = stage.calls.recv().await.unwrap();
            let mut payload = Payload::from(Bytes::from_static(b"abc"));
            payload.push_zeroes(1000);
            call.answer(Ok(Reply::Data(payload)));
        }
        let client = &mut stage.client;
        assert_eq!(chunk(client, dialect).await, (5, 1, false, at(OFFSET, b"abc")));
        let hole = at(OFFSET + 3, &1000u32.to_be_bytes());
        assert_eq!(chunk(client, dialect).await, (5, 2, true, hole));
        let whole = at(OFFSET, &[b"abc".as_slice(), &[0; 1000]].concat());
        assert_eq!(chunk(client, dialect).await, (5, 1, true, whole));
    }
}

#[tokio::test]
async fn what_fails_says_why_and_where() {
    for dialect in DIALECTS {
        let mut stage = stage_in(dialect);
        let error = |kind| Error::new(kind, "please insert volume usb");
        let told = |number: u32, text: &str, rest: &[u8]| {
            let length = u16::try_from(text.len()).unwrap().to_be_bytes();
            [&number.to_be_bytes(), length.as_slice(), text.as_bytes(), rest].concat()
        };
        let insert = "please insert volume usb";
        let secret = "the medium reports an error";
        let place = (OFFSET + 7).to_be_bytes();
        let table = [
            (error(ErrorKind::TimedOut), (2, 0x8001, true, told(5, insert, b""))),
            (error(ErrorKind::TimedOut).at(OFFSET + 7), (2, 0x8002, true, told(5, insert, &place))),
            // Not a byte of the request: the protocol allows no other.
            (error(ErrorKind::TimedOut).at(OFFSET + 16), (2, 0x8001, true, told(5, insert, b""))),
            (error(ErrorKind::TimedOut).at(OFFSET - 1), (2, 0x8001, true, told(5, insert, b""))),
            (error(ErrorKind::Medium), (2, 0x8001, true, told(5, secret, b""))),
            (error(ErrorKind::NoSpace), (2, 0x8001, true, told(28, insert, b""))),
        ];
        for (error, expected) in table {
            for command in [Command::Read, Command::Trim] {
                stage.client.write_all(&ask(dialect, command, 2, 16)).await.unwrap();
                let again = Error::new(error.kind(), "please insert volume usb");
                let again = match error.offset() {
                    Some(offset) => again.at(offset),
                    None => again,
                };
                stage.calls.recv().await.unwrap().answer(Err(again));
                assert_eq!(chunk(&mut stage.client, dialect).await, expected, "{command}");
            }
        }
    }
}

#[tokio::test]
async fn extended_requests_have_lengths_beyond_32_bits() {
    let info = DeviceInfo { size_bytes: 1 << 50, ..INFO };
    let device = Arc::new(Agrees(info));
    let dialect = Dialect::Extended;
    let (mut client, _stop, _session) = start_in(dialect, 4096, Limits::default(), device);
    for command in [Command::WriteZeroes, Command::Trim, Command::Cache] {
        client.write_all(&ask(dialect, command, 3, 1 << 45)).await.unwrap();
        assert_eq!(chunk(&mut client, dialect).await, (3, 0, true, vec![]), "{command}");
        client.write_all(&ask(dialect, command, 3, u64::MAX)).await.unwrap();
        let (cookie, kind, done, _) = chunk(&mut client, dialect).await;
        assert_eq!((cookie, kind, done), (3, 0x8001, true), "{command}");
    }
    client.write_all(&ask(dialect, Command::Read, 3, 1 << 33)).await.unwrap();
    assert_eq!(chunk(&mut client, dialect).await.1, 0x8001, "longer than a payload may be");
}

#[tokio::test]
async fn a_payload_that_nobody_wants_is_dropped_and_a_write_needs_no_flag() {
    let (dialect, payload) = (Dialect::Extended, CommandFlags::PAYLOAD_LEN);
    let device = Arc::new(MemoryDevice::new(1 << 20));
    let (mut client, _stop, _session) = start_in(dialect, 4096, Limits::default(), device);
    for command in [Command::Read, Command::Flush, Command::Trim, Command::Other(77)] {
        client.write_all(&ask_with(dialect, command, payload, 3, 700)).await.unwrap();
        client.write_all(&[7; 700]).await.unwrap();
        let (cookie, kind, done, told) = chunk(&mut client, dialect).await;
        assert_eq!((cookie, kind, done, &told[..4]), (3, 0x8001, true, [0, 0, 0, 22].as_slice()));
    }
    for flags in [CommandFlags::NONE, payload] {
        client.write_all(&ask_with(dialect, Command::Write, flags, 4, 3)).await.unwrap();
        client.write_all(b"abc").await.unwrap();
        assert_eq!(chunk(&mut client, dialect).await, (4, 0, true, vec![]));
    }
    client.write_all(&ask(dialect, Command::Read, 5, 3)).await.unwrap();
    assert_eq!(chunk(&mut client, dialect).await, (5, 1, true, at(OFFSET, b"abc")));
}

#[tokio::test]
async fn a_header_of_the_other_dialect_ends_the_session() {
    for (dialect, other) in
        [(Dialect::Structured, Dialect::Extended), (Dialect::Extended, Dialect::Structured)]
    {
        let device = Arc::new(MemoryDevice::new(1 << 20));
        let (mut client, _stop, session) = start_in(dialect, 4096, Limits::default(), device);
        client.write_all(&ask(other, Command::Read, 5, 3).repeat(2)).await.unwrap();
        let end = session.await.unwrap();
        assert!(matches!(end, End::OutOfStep(OutOfStep::Magic(_))), "{end}");
    }
}
