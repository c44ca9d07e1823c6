//! Headers of requests and replies.

use bytes::{Buf, BytesMut};
use hotbay_nbd::{
    Chunk, Command, CommandFlags, Cookie, Dialect, ErrorNumber, ReplyTo, RequestHeader,
    SimpleReply, WrongMagic,
};
use proptest::prelude::*;

const WRITE: &[u8; 28] =
    b"\x25\x60\x95\x13\x00\x01\x00\x01cookie!!\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x02\x00";

fn write() -> RequestHeader {
    RequestHeader {
        command: Command::Write,
        flags: CommandFlags::FUA,
        cookie: Cookie(u64::from_be_bytes(*b"cookie!!")),
        offset: 65536,
        length: 512,
    }
}

#[test]
fn a_request_is_these_bytes() {
    let mut bytes = BytesMut::new();
    write().encode(&mut bytes, Dialect::Simple);
    assert_eq!(bytes.as_ref(), WRITE);
    bytes.extend_from_slice(b"payload");
    assert_eq!(RequestHeader::decode(&mut bytes, Dialect::Simple), Ok(Some(write())));
    assert_eq!(bytes.as_ref(), b"payload");
}

#[test]
fn a_reply_is_these_bytes() {
    let cookie = Cookie(u64::from_be_bytes(*b"cookie!!"));
    for (result, bytes) in [
        (Ok(()), b"\x67\x44\x66\x98\x00\x00\x00\x00cookie!!"),
        (Err(ErrorNumber::NoSpace), b"\x67\x44\x66\x98\x00\x00\x00\x1ccookie!!"),
        (Err(ErrorNumber::ShuttingDown), b"\x67\x44\x66\x98\x00\x00\x00\x6ccookie!!"),
    ] {
        let mut output = BytesMut::new();
        SimpleReply { cookie, result }.encode(&mut output);
        assert_eq!(output.as_ref(), bytes);
        assert_eq!(SimpleReply::decode(&mut output), Ok(Some(SimpleReply { cookie, result })));
        assert!(output.is_empty());
    }
}

#[test]
fn a_header_that_is_not_there_in_full_is_left_alone() {
    for end in 0..WRITE.len() {
        let mut part = &WRITE[..end];
        assert_eq!(RequestHeader::decode(&mut part, Dialect::Simple), Ok(None));
        assert_eq!(part.remaining(), end);
    }
    let mut part: &[u8] = b"\x67\x44\x66\x98\x00\x00\x00\x00cookie!";
    assert_eq!(SimpleReply::decode(&mut part), Ok(None));
    assert_eq!(part.remaining(), 15);
}

#[test]
fn a_wrong_magic_is_fatal() {
    let wrong = |expected| Err(WrongMagic { expected, found: 0x2121_2121 });
    let mut noise: &[u8] = &[b'!'; 40];
    assert_eq!(
        RequestHeader::decode(&mut noise, Dialect::Simple),
        wrong(0x2560_9513).map(|()| None)
    );
    let mut noise: &[u8] = &[b'!'; 40];
    assert_eq!(SimpleReply::decode(&mut noise), wrong(0x6744_6698).map(|()| None));
}

#[test]
fn refusals() {
    const MAX: u64 = 64 << 20;
    let fua = CommandFlags::FUA;
    let all = [0, 1, 2, 3, 4, 5, 6].map(Command::from_number);
    let refused = |command, flags, length| {
        let request = RequestHeader { command, flags, length, ..write() };
        match request.refusal(Dialect::Simple) {
            None => false,
            Some(error) => {
                assert_eq!(error, ErrorNumber::Invalid);
                true
            }
        }
    };
    for command in all {
        assert!(!refused(command, fua, MAX), "FUA is legal on {command}");
        assert!(refused(command, CommandFlags::from_bits(1 << 9), 512), "{command}");
        assert!(refused(command, CommandFlags::PAYLOAD_LEN, 512), "{command}");
        let no_hole = refused(command, CommandFlags::NO_HOLE.with(fua), 512);
        assert_eq!(no_hole, command != Command::WriteZeroes, "NO_HOLE on {command}");
        let fast = refused(command, CommandFlags::FAST_ZERO.with(fua), 512);
        assert_eq!(fast, command != Command::WriteZeroes, "FAST_ZERO on {command}");
        let carries = matches!(command, Command::Read | Command::Write);
        assert_eq!(refused(command, fua, MAX + 1), carries, "{command} of more than 64 MiB");
    }
    assert!(refused(Command::Other(7), CommandFlags::NONE, 0));
    assert!(refused(Command::Other(999), CommandFlags::NONE, 0));
}

#[test]
fn only_a_write_is_followed_by_bytes_whatever_its_flags() {
    for number in 0..20 {
        let flags = CommandFlags::from_bits(u16::MAX);
        let request = RequestHeader { command: Command::from_number(number), flags, ..write() };
        assert_eq!(request.payload_bytes(Dialect::Simple), if number == 1 { 512 } else { 0 });
    }
}

#[test]
fn an_extended_request_is_these_bytes() {
    let mut bytes = BytesMut::new();
    let request = RequestHeader { length: 1 << 40, ..write() };
    request.encode(&mut bytes, Dialect::Extended);
    assert_eq!(
        bytes.as_ref(),
        b"\x21\xe4\x1c\x71\0\x01\0\x01cookie!!\0\0\0\0\0\x01\0\0\0\0\x01\0\0\0\0\0"
    );
    for end in 0..bytes.len() {
        assert_eq!(RequestHeader::decode(&mut &bytes[..end], Dialect::Extended), Ok(None));
    }
    assert!(RequestHeader::decode(&mut &bytes[..], Dialect::Structured).is_err());
    assert!(RequestHeader::decode(&mut WRITE.repeat(2).as_slice(), Dialect::Extended).is_err());
}

#[test]
fn each_dialect_has_its_flags() {
    let legal = |command, flags, dialect| {
        RequestHeader { command, flags, length: 512, ..write() }.refusal(dialect).is_none()
    };
    for dialect in [Dialect::Simple, Dialect::Structured, Dialect::Extended] {
        let (df, payload) = (CommandFlags::DF, CommandFlags::PAYLOAD_LEN);
        assert_eq!(legal(Command::Read, df, dialect), dialect != Dialect::Simple);
        assert_eq!(legal(Command::Write, payload, dialect), dialect == Dialect::Extended);
        assert!(!legal(Command::Write, df, dialect));
        for command in [Command::Read, Command::Trim, Command::Flush, Command::WriteZeroes] {
            assert!(!legal(command, payload, dialect), "{command}");
        }
    }
}

#[test]
fn an_extended_request_says_itself_what_follows() {
    let follows = |number, flags| {
        let command = Command::from_number(number);
        let request = RequestHeader { command, flags, ..write() };
        request.payload_bytes(Dialect::Extended)
    };
    for number in 0..20 {
        assert_eq!(follows(number, CommandFlags::PAYLOAD_LEN), 512);
        assert_eq!(follows(number, CommandFlags::FUA), if number == 1 { 512 } else { 0 });
    }
}

#[test]
fn chunks_are_these_bytes() {
    let to = ReplyTo { cookie: Cookie(u64::from_be_bytes(*b"cookie!!")), offset: 0x1234 };
    let text = "please insert";
    let error = |offset| Chunk::Error { error: ErrorNumber::Io, text, offset };
    let table: [(Chunk<'_>, u16, &[u8], u8); 5] = [
        (Chunk::None, 0, b"", 0),
        (Chunk::Data { offset: 0x1235, length: 9 }, 1, b"\0\0\0\0\0\0\x12\x35", 9),
        (Chunk::Hole { offset: 0x1235, length: 0x10000 }, 2, b"\0\0\0\0\0\0\x12\x35\0\x01\0\0", 0),
        (error(None), 0x8001, b"\0\0\0\x05\0\x0dplease insert", 0),
        (error(Some(0x1236)), 0x8002, b"\0\0\0\x05\0\x0dplease insert\0\0\0\0\0\0\x12\x36", 0),
    ];
    for (chunk, kind, payload, follow) in table {
        for (done, flags) in [(false, 0u16), (true, 1)] {
            let length = u8::try_from(payload.len()).unwrap() + follow;
            let begin = |magic: &[u8]| {
                [magic, &flags.to_be_bytes(), &kind.to_be_bytes(), b"cookie!!"].concat()
            };
            let mut output = BytesMut::new();
            chunk.encode(to, done, Dialect::Structured, &mut output);
            let begun = begin(b"\x66\x8e\x33\xef");
            assert_eq!(output, [&begun, [0, 0, 0, length].as_slice(), payload].concat());
            output.clear();
            chunk.encode(to, done, Dialect::Extended, &mut output);
            let begun = begin(b"\x6e\x8a\x27\x8c");
            let lengths = [0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, length];
            assert_eq!(output, [&begun, lengths.as_slice(), payload].concat());
        }
    }
}

#[test]
fn a_status_has_wider_numbers_with_extended_headers() {
    let to = ReplyTo { cookie: Cookie(1), offset: 2 };
    let chunk = Chunk::Status { context: 7, extents: &[(0x1000, 3), (0x200, 0)] };
    let mut output = BytesMut::new();
    chunk.encode(to, true, Dialect::Structured, &mut output);
    let expected = b"\x66\x8e\x33\xef\0\x01\0\x05\0\0\0\0\0\0\0\x01\0\0\0\x14\
        \0\0\0\x07\0\0\x10\0\0\0\0\x03\0\0\x02\0\0\0\0\0";
    assert_eq!(output.as_ref(), expected);
    output.clear();
    chunk.encode(to, true, Dialect::Extended, &mut output);
    let expected = b"\x6e\x8a\x27\x8c\0\x01\0\x06\0\0\0\0\0\0\0\x01\
        \0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x28\0\0\0\x07\0\0\0\x02\
        \0\0\0\0\0\0\x10\0\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\0\0";
    assert_eq!(output.as_ref(), expected);
}

#[test]
fn a_block_status_needs_chunks_and_its_payload_is_short() {
    let legal = |dialect, flags, length| {
        let command = Command::BlockStatus;
        RequestHeader { command, flags, length, ..write() }.refusal(dialect).is_none()
    };
    let (one, payload) = (CommandFlags::REQ_ONE, CommandFlags::PAYLOAD_LEN);
    assert!(!legal(Dialect::Simple, CommandFlags::NONE, 512));
    assert!(legal(Dialect::Structured, one, u32::MAX.into()));
    assert!(!legal(Dialect::Structured, payload, 12));
    assert!(legal(Dialect::Extended, one, 1 << 40));
    assert!(legal(Dialect::Extended, payload.with(one), 264));
    assert!(!legal(Dialect::Extended, payload, 265));
}

#[test]
fn the_text_of_an_error_is_bounded() {
    let text = "é".repeat(3000);
    let to = ReplyTo { cookie: Cookie(1), offset: 0 };
    let mut output = BytesMut::new();
    let chunk = Chunk::Error { error: ErrorNumber::Io, text: &text, offset: None };
    chunk.encode(to, true, Dialect::Structured, &mut output);
    assert_eq!(output.len(), 20 + 6 + 4096);
}

proptest! {
    #[test]
    fn requests_come_back(number: u16, bits: u16, cookie: u64, offset: u64, length: u32) {
        let request = RequestHeader {
            command: Command::from_number(number),
            flags: CommandFlags::from_bits(bits),
            cookie: Cookie(cookie),
            offset,
            length: length.into(),
        };
        let mut bytes = BytesMut::new();
        for dialect in [Dialect::Simple, Dialect::Structured, Dialect::Extended] {
            request.encode(&mut bytes, dialect);
            prop_assert_eq!(bytes.len(), RequestHeader::bytes(dialect));
            prop_assert_eq!(RequestHeader::decode(&mut bytes, dialect), Ok(Some(request)));
        }
        request.encode(&mut bytes, Dialect::Simple);
        prop_assert_eq!(RequestHeader::decode(&mut bytes, Dialect::Simple), Ok(Some(request)));
    }

    #[test]
    fn any_header_is_decoded_or_refused(noise in proptest::collection::vec(any::<u8>(), 0..40)) {
        let mut request = [&[0x25, 0x60, 0x95, 0x13], noise.as_slice()].concat();
        let decoded = RequestHeader::decode(&mut request.as_slice(), Dialect::Simple);
        prop_assert_eq!(matches!(decoded, Ok(Some(_))), request.len() >= RequestHeader::BYTES);
        if let Ok(Some(header)) = decoded {
            let mut again = BytesMut::new();
            header.encode(&mut again, Dialect::Simple);
            request.truncate(RequestHeader::BYTES);
            prop_assert_eq!(again.as_ref(), request.as_slice());
        }
    }
}
