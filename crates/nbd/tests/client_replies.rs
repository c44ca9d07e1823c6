//! What a client makes of replies: against bytes put together by hand, and against what this crate's own server says.

use bytes::BytesMut;
use hotbay_nbd::client::{Answering, Brings, OutOfStep, Part, Refusal, Reply};
use hotbay_nbd::{
    Chunk, Command, CommandFlags, Cookie, Dialect, ErrorNumber, ReplyTo, RequestHeader, SimpleReply,
};
use proptest::prelude::*;

const TO: ReplyTo = ReplyTo { cookie: Cookie(77), offset: 4096 };
const BOTH: [Dialect; 2] = [Dialect::Structured, Dialect::Extended];

/// The reply in `bytes`, which comes only with the last of them.
#[track_caller]
fn decode(bytes: &[u8], dialect: Dialect) -> Result<Reply, OutOfStep> {
    for end in 0..bytes.len() {
        let mut input = BytesMut::from(&bytes[..end]);
        assert_eq!(Reply::decode(&mut input, dialect)?, None, "{end} bytes");
        assert_eq!(input, bytes[..end]);
    }
    let mut input = BytesMut::from(bytes);
    input.extend_from_slice(b"more");
    let reply = Reply::decode(&mut input, dialect)?.expect("it is whole");
    assert_eq!(&input[..], b"more");
    Ok(reply)
}

fn encoded(chunk: Chunk<'_>, done: bool, dialect: Dialect) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    chunk.encode(TO, done, dialect, &mut bytes);
    bytes.to_vec()
}

#[test]
fn every_chunk_comes_back_as_it_was_said() {
    let text = "please insert volume a";
    let refusal =
        |offset| Part::Failure(Refusal { error: ErrorNumber::Io, text: text.to_owned(), offset });
    let extents = [(4096, 3), (1 << 20, 0)];
    let chunks = [
        (Chunk::None, Part::None),
        (Chunk::Data { offset: 5, length: 70 }, Part::Data { offset: 5, length: 70 }),
        (Chunk::Hole { offset: 5, length: 70 }, Part::Zeroes { offset: 5, length: 70 }),
        (
            Chunk::Status { context: 3, extents: &extents },
            Part::Status { context: 3, extents: extents.map(|(l, f)| (l, f.into())).to_vec() },
        ),
        (Chunk::Error { error: ErrorNumber::Io, text, offset: None }, refusal(None)),
        (Chunk::Error { error: ErrorNumber::Io, text, offset: Some(9) }, refusal(Some(9))),
    ];
    for dialect in BOTH {
        for (chunk, part) in &chunks {
            for done in [false, true] {
                let offset = (dialect == Dialect::Extended).then_some(TO.offset);
                let expected = Reply { cookie: TO.cookie, offset, done, part: part.clone() };
                assert_eq!(decode(&encoded(*chunk, done, dialect), dialect), Ok(expected));
            }
        }
    }
}

#[test]
fn simple_replies_are_replies_but_with_extended_headers() {
    let mut bytes = BytesMut::new();
    SimpleReply { cookie: Cookie(3), result: Ok(()) }.encode(&mut bytes);
    for dialect in [Dialect::Simple, Dialect::Structured] {
        assert_eq!(decode(&bytes, dialect).unwrap().part, Part::Success);
    }
    bytes.extend_from_slice(&[0; 16]);
    let end = Reply::decode(&mut bytes, Dialect::Extended);
    assert!(matches!(end, Err(OutOfStep::Magic(_))), "{end:?}");
}

#[test]
fn chunks_that_make_no_sense_are_told_from_their_beginning() {
    let chunk = |kind: u16, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap();
        [
            &0x668e_33ef_u32.to_be_bytes()[..],
            &[0, 1],
            &kind.to_be_bytes(),
            &[0; 8],
            &length.to_be_bytes(),
            payload,
        ]
        .concat()
    };
    for (kind, payload) in [
        (0_u16, &[0_u8][..]),
        (1, &[0; 8]),
        (2, &[0; 11]),
        (2, &[0; 13]),
        (3, &[]),
        (4, &[0; 8]),
        (5, &[0; 4]),
        (5, &[0; 13]),
        (6, &[0; 24]),
        (0x8001, &[0; 5]),
        (0x8001, &[0, 0, 0, 5, 0, 9, b'x']),
        (0x8001, &[0, 0, 0, 0, 0, 0]),
        (0x8002, &[0, 0, 0, 5, 0, 0, 1]),
        (0x8001, &[0; 9000]),
    ] {
        let mut input = BytesMut::from(&chunk(kind, payload)[..]);
        Reply::decode(&mut input, Dialect::Structured)
            .expect_err(&format!("{kind:#x} {payload:?}"));
    }
    // A failure of a kind that is not known is a failure, whatever more it has.
    let unknown = chunk(0x8077, &[0, 0, 0, 28, 0, 4, b'f', b'u', b'l', b'\x1b', 1, 2, 3]);
    let refusal = Refusal { error: ErrorNumber::NoSpace, text: "ful\u{fffd}".into(), offset: None };
    assert_eq!(decode(&unknown, Dialect::Structured).unwrap().part, Part::Failure(refusal));
}

fn request(command: Command, length: u64) -> RequestHeader {
    let (flags, cookie) = (CommandFlags::NONE, TO.cookie);
    RequestHeader { command, flags, cookie, offset: TO.offset, length }
}

fn answering(command: Command, length: u64) -> Answering {
    Answering::to(&request(command, length), Dialect::Extended, Some(3))
}

fn says(part: Part, done: bool) -> Reply {
    Reply { cookie: TO.cookie, offset: Some(TO.offset), done, part }
}

fn data(at: u64, length: u32) -> Part {
    Part::Data { offset: TO.offset + at, length }
}

#[test]
fn a_read_is_done_when_each_byte_has_come_once() {
    let mut read = answering(Command::Read, 100);
    let brings = read.take(says(data(60, 40), false)).unwrap();
    assert_eq!(brings, Brings::Bytes { at: 60, length: 40 });
    let zeroes = Part::Zeroes { offset: TO.offset, length: 30 };
    assert_eq!(read.take(says(zeroes, false)), Ok(Brings::Zeroes { at: 0, length: 30 }));
    read.clone().take(says(Part::None, true)).expect_err("30 bytes are missing");
    read.clone().take(says(data(29, 2), false)).expect_err("a byte comes again");
    read.clone().take(says(data(99, 2), false)).expect_err("one is past the end");
    read.take(says(data(30, 30), true)).unwrap();
    assert_eq!(read.outcome(), Ok(vec![]));
}

#[test]
fn what_has_failed_needs_no_bytes_and_the_first_word_counts() {
    let refusal = |text: &str| Refusal { error: ErrorNumber::Io, text: text.into(), offset: None };
    let mut read = answering(Command::Read, 100);
    read.take(says(Part::Failure(refusal("one")), false)).unwrap();
    read.take(says(data(0, 10), false)).unwrap();
    read.take(says(Part::Failure(refusal("two")), true)).unwrap();
    assert_eq!(read.outcome(), Err(refusal("one")));
}

#[test]
fn an_answer_to_something_else_is_none() {
    let status = |context, extents| Part::Status { context, extents };
    for (command, part) in [
        (Command::Write, data(0, 1)),
        (Command::Flush, status(3, vec![(1, 0)])),
        (Command::Read, Part::Success),
        (Command::Read, status(3, vec![(1, 0)])),
        (Command::Read, Part::None),
        (Command::Read, Part::Data { offset: TO.offset - 1, length: 1 }),
        (Command::Read, Part::Data { offset: u64::MAX, length: 1 }),
        (Command::Read, Part::Zeroes { offset: TO.offset, length: 0 }),
        (Command::BlockStatus, Part::Success),
        (Command::BlockStatus, Part::None),
        (Command::BlockStatus, status(4, vec![(1, 0)])),
        (Command::BlockStatus, status(3, vec![])),
        (Command::BlockStatus, status(3, vec![(1, 0), (0, 3)])),
    ] {
        let answer = answering(command, 100).take(says(part.clone(), true));
        assert!(answer.is_err(), "{command} {part:?}");
    }
    let mut other = says(Part::None, true);
    other.offset = Some(0);
    answering(Command::Flush, 0).take(other).unwrap_err();
    let mut status_twice = answering(Command::BlockStatus, 100);
    status_twice.take(says(status(3, vec![(1, 0)]), false)).unwrap();
    status_twice.take(says(status(3, vec![(1, 0)]), false)).unwrap_err();
    status_twice.take(says(Part::None, true)).unwrap();
    assert_eq!(status_twice.outcome(), Ok(vec![(1, 0)]));
}

proptest! {
    #[test]
    fn any_bytes_are_a_reply_or_refused(noise in prop::collection::vec(any::<u8>(), 0..80), magic in 0..3) {
        for dialect in [Dialect::Simple, Dialect::Structured, Dialect::Extended] {
            let mut bytes = noise.clone();
            let begins = [0x6744_6698_u32, 0x668e_33ef, 0x6e8a_278c][usize::try_from(magic).unwrap()];
            bytes.splice(..bytes.len().min(4), begins.to_be_bytes());
            let mut input = BytesMut::from(&bytes[..]);
            let whole = Reply::decode(&mut input, dialect);
            if let Ok(Some(_)) = whole {
                let taken = bytes.len() - input.len();
                prop_assert_eq!(decode(&bytes[..taken], dialect).map(Some), whole);
            }
        }
    }
}
