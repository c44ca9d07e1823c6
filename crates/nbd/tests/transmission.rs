//! Headers of requests and replies.

use bytes::{Buf, BytesMut};
use hotbay_nbd::{
    Command, CommandFlags, Cookie, ErrorNumber, RequestHeader, SimpleReply, WrongMagic,
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
    write().encode(&mut bytes);
    assert_eq!(bytes.as_ref(), WRITE);
    bytes.extend_from_slice(b"payload");
    assert_eq!(RequestHeader::decode(&mut bytes), Ok(Some(write())));
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
        assert_eq!(RequestHeader::decode(&mut part), Ok(None));
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
    assert_eq!(RequestHeader::decode(&mut noise), wrong(0x2560_9513).map(|()| None));
    let mut noise: &[u8] = &[b'!'; 40];
    assert_eq!(SimpleReply::decode(&mut noise), wrong(0x6744_6698).map(|()| None));
}

#[test]
fn refusals() {
    const MAX: u32 = 64 << 20;
    let fua = CommandFlags::FUA;
    let all = [0, 1, 2, 3, 4, 5, 6].map(Command::from_number);
    let refused = |command, flags, length| {
        let request = RequestHeader { command, flags, length, ..write() };
        match request.refusal() {
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
        assert_eq!(request.payload_bytes(), if number == 1 { 512 } else { 0 });
    }
}

proptest! {
    #[test]
    fn requests_come_back(number: u16, bits: u16, cookie: u64, offset: u64, length: u32) {
        let request = RequestHeader {
            command: Command::from_number(number),
            flags: CommandFlags::from_bits(bits),
            cookie: Cookie(cookie),
            offset,
            length,
        };
        let mut bytes = BytesMut::new();
        request.encode(&mut bytes);
        prop_assert_eq!(bytes.len(), RequestHeader::BYTES);
        prop_assert_eq!(RequestHeader::decode(&mut bytes), Ok(Some(request)));
    }

    #[test]
    fn any_header_is_decoded_or_refused(noise in proptest::collection::vec(any::<u8>(), 0..40)) {
        let mut request = [&[0x25, 0x60, 0x95, 0x13], noise.as_slice()].concat();
        let decoded = RequestHeader::decode(&mut request.as_slice());
        prop_assert_eq!(matches!(decoded, Ok(Some(_))), request.len() >= RequestHeader::BYTES);
        if let Ok(Some(header)) = decoded {
            let mut again = BytesMut::new();
            header.encode(&mut again);
            request.truncate(RequestHeader::BYTES);
            prop_assert_eq!(again.as_ref(), request.as_slice());
        }
    }
}
