//! What the transcripts are made of: exports, and bytes put together by hand from the protocol's document.
#![allow(dead_code, reason = "each test binary uses its part")]

use bytes::BytesMut;
use hotbay_nbd::{
    BlockSizes, Chosen, Dialect, Export, ExportDescription, Exports, HandshakeError,
    ServerHandshake, Step, Tls, TransmissionFlags,
};

pub(crate) const OPTION: u64 = 0x4948_4156_454f_5054;
pub(crate) const REPLY: u64 = 0x0003_e889_0455_65a9;
pub(crate) const GREETING: &[u8] = b"NBDMAGICIHAVEOPT\x00\x03";

pub(crate) const ACK: u32 = 1;
pub(crate) const SERVER: u32 = 2;
pub(crate) const INFO: u32 = 3;
pub(crate) const META_CONTEXT: u32 = 4;
pub(crate) const ERR_EXTENDED_REQUIRED: u32 = 0x8000_000a;
pub(crate) const ERR_UNSUP: u32 = 0x8000_0001;
pub(crate) const ERR_POLICY: u32 = 0x8000_0002;
pub(crate) const ERR_INVALID: u32 = 0x8000_0003;
pub(crate) const ERR_TLS_REQD: u32 = 0x8000_0005;
pub(crate) const ERR_UNKNOWN: u32 = 0x8000_0006;
pub(crate) const ERR_TOO_BIG: u32 = 0x8000_0009;

/// Two exports; the empty name is `usb`.
pub(crate) struct Two;

impl Exports for Two {
    type Opened = &'static str;

    fn contexts(&self) -> &'static [&'static str] {
        &["base:allocation", "x-two:one", "x-two:other"]
    }

    fn list(&self) -> Vec<ExportDescription> {
        ["usb", "disk"]
            .map(|name| ExportDescription {
                name: name.to_owned(),
                description: format!("the {name}"),
            })
            .to_vec()
    }

    fn open(&self, name: &str) -> Option<(Export, &'static str)> {
        let (name, size_bytes) = match name {
            "" | "usb" => ("usb", 0x1234_5678_9abc),
            "disk" => ("disk", 512),
            _ => return None,
        };
        let flags = TransmissionFlags::HAS_FLAGS.with(TransmissionFlags::SEND_FLUSH);
        let description = format!("the {name}");
        let block_sizes = BlockSizes::default();
        Some((Export { name: name.to_owned(), description, size_bytes, flags, block_sizes }, name))
    }
}

/// Bytes, put together.
pub(crate) fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

pub(crate) fn flags(bits: u32) -> Vec<u8> {
    bits.to_be_bytes().to_vec()
}

pub(crate) fn option(code: u32, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap();
    cat(&[&OPTION.to_be_bytes(), &code.to_be_bytes(), &length.to_be_bytes(), data])
}

pub(crate) fn reply(code: u32, kind: u32, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap();
    let (code, kind) = (code.to_be_bytes(), kind.to_be_bytes());
    cat(&[&REPLY.to_be_bytes(), &code, &kind, &length.to_be_bytes(), data])
}

/// The data of INFO and GO.
pub(crate) fn about(name: &str, kinds: &[u16]) -> Vec<u8> {
    let length = u32::try_from(name.len()).unwrap();
    let count = u16::try_from(kinds.len()).unwrap();
    let kinds: Vec<u8> = kinds.iter().flat_map(|kind| kind.to_be_bytes()).collect();
    cat(&[&length.to_be_bytes(), name.as_bytes(), &count.to_be_bytes(), &kinds])
}

/// The piece of information EXPORT of [`Two`]'s exports.
pub(crate) fn info_export(size: u64) -> Vec<u8> {
    info_export_with(size, 5)
}

pub(crate) fn info_export_with(size: u64, flags: u16) -> Vec<u8> {
    cat(&[&[0, 0], &size.to_be_bytes(), &flags.to_be_bytes()])
}

/// How a negotiation stands when the input is used up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Waits,
    Transmits(String, Vec<u8>),
    /// The same, in another dialect than the plain one.
    TransmitsIn(Dialect, String),
    /// The same, with these contexts selected.
    Selects(Vec<u32>, String),
    Aborted,
    StartsTls,
    Fails(HandshakeError),
}

/// Feeds the pieces one after another; gives all output, how it stands at the end, and the most that the
/// input had to hold.
pub(crate) fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, End, usize) {
    let mut handshake = ServerHandshake::new(Tls::Off);
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let mut held = 0;
    let mut pieces = pieces.into_iter();
    loop {
        match handshake.advance(&mut input, &mut output, &Two) {
            Ok(Step::Send) => {}
            Ok(Step::Receive) => {
                held = held.max(input.len());
                match pieces.next() {
                    Some(piece) => input.extend_from_slice(piece),
                    None => return (output.to_vec(), End::Waits, held),
                }
            }
            Ok(Step::Transmit(Chosen { export, contexts, .. })) if !contexts.is_empty() => {
                return (output.to_vec(), End::Selects(contexts, export.name), held);
            }
            Ok(Step::Transmit(Chosen { export, dialect, .. })) if dialect != Dialect::Simple => {
                return (output.to_vec(), End::TransmitsIn(dialect, export.name), held);
            }
            Ok(Step::Transmit(Chosen { export, opened, .. })) => {
                assert_eq!(export.name, opened);
                pieces.for_each(|piece| input.extend_from_slice(piece));
                return (output.to_vec(), End::Transmits(export.name, input.to_vec()), held);
            }
            Ok(Step::StartTls) => return (output.to_vec(), End::StartsTls, held),
            Ok(Step::Aborted) => return (output.to_vec(), End::Aborted, held),
            Err(error) => return (output.to_vec(), End::Fails(error), held),
        }
    }
}

/// What the client sends after its flags, what it must get after the greeting, and how it must end.
#[track_caller]
pub(crate) fn check_with(client: u32, sent: &[&[u8]], expected: &[&[u8]], end: &End) {
    let sent = cat(&[&flags(client), &cat(sent)]);
    let expected = cat(&[GREETING, &cat(expected)]);
    let check = |(output, at_end, _): (Vec<u8>, End, usize), how: &str| {
        assert_eq!(at_end, *end, "{how}");
        assert_eq!(output, expected, "{how}");
    };
    check(feed([sent.as_slice()]), "in one piece");
    check(feed(sent.chunks(1)), "byte by byte");
    for at in (0..=sent.len()).take(600) {
        let (head, tail) = sent.split_at(at);
        check(feed([head, tail]), "split in two");
    }
}

#[track_caller]
pub(crate) fn check(sent: &[&[u8]], expected: &[&[u8]], end: &End) {
    check_with(3, sent, expected, end);
}

pub(crate) fn text(kind: u32, code: u32, text: &str) -> Vec<u8> {
    reply(code, kind, text.as_bytes())
}
