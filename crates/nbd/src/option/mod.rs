//! Options of the negotiation ("Option haggling"): what is common to them.
//!
//! Each option has a file with all that is said in it, by either role. A new option is a new file, a constant
//! of [`OptionCode`], and a line in `Known::of` and in the handshake's `answer`.

pub(crate) mod abort;
pub(crate) mod export_name;
pub(crate) mod extended_headers;
pub(crate) mod go;
pub(crate) mod info;
pub(crate) mod list;
pub(crate) mod meta_context;
pub(crate) mod starttls;
pub(crate) mod structured_reply;

use std::borrow::Cow;
use std::fmt;

use bytes::{Buf, BufMut, BytesMut};

use crate::WrongMagic;
use crate::limits::STRING_BYTES_MAX;
use crate::wire::{OPTION_MAGIC, OPTION_REPLY_MAGIC, clip, on_wire};

/// The number of an option.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OptionCode(pub u32);

impl OptionCode {
    /// Go to the transmission phase; the only way before fixed newstyle.
    pub const EXPORT_NAME: Self = Self(1);
    /// End the negotiation.
    pub const ABORT: Self = Self(2);
    /// Name the exports.
    pub const LIST: Self = Self(3);
    /// Carry the rest in TLS.
    pub const STARTTLS: Self = Self(5);
    /// Describe an export.
    pub const INFO: Self = Self(6);
    /// Describe an export and go to the transmission phase.
    pub const GO: Self = Self(7);
    /// Answer in chunks.
    pub const STRUCTURED_REPLY: Self = Self(8);
    /// Name the contexts that BLOCK_STATUS can tell about.
    pub const LIST_META_CONTEXT: Self = Self(9);
    /// Choose those that it is to tell about.
    pub const SET_META_CONTEXT: Self = Self(10);
    /// Headers with lengths of 64 bits.
    pub const EXTENDED_HEADERS: Self = Self(11);
}

impl fmt::Display for OptionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::EXPORT_NAME => "EXPORT_NAME",
            Self::ABORT => "ABORT",
            Self::LIST => "LIST",
            Self::STARTTLS => "STARTTLS",
            Self::INFO => "INFO",
            Self::GO => "GO",
            Self::STRUCTURED_REPLY => "STRUCTURED_REPLY",
            Self::LIST_META_CONTEXT => "LIST_META_CONTEXT",
            Self::SET_META_CONTEXT => "SET_META_CONTEXT",
            Self::EXTENDED_HEADERS => "EXTENDED_HEADERS",
            Self(number) => return write!(f, "{number}"),
        })
    }
}

impl fmt::Debug for OptionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An option that this server answers by itself; every other one is refused with ERR_UNSUP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    ExportName,
    Abort,
    List,
    StartTls,
    Info,
    Go,
    StructuredReply,
    ListMetaContext,
    SetMetaContext,
    ExtendedHeaders,
}

impl Known {
    pub(crate) const fn of(option: OptionCode) -> Option<Self> {
        Some(match option {
            OptionCode::EXPORT_NAME => Self::ExportName,
            OptionCode::ABORT => Self::Abort,
            OptionCode::LIST => Self::List,
            OptionCode::STARTTLS => Self::StartTls,
            OptionCode::INFO => Self::Info,
            OptionCode::GO => Self::Go,
            OptionCode::STRUCTURED_REPLY => Self::StructuredReply,
            OptionCode::LIST_META_CONTEXT => Self::ListMetaContext,
            OptionCode::SET_META_CONTEXT => Self::SetMetaContext,
            OptionCode::EXTENDED_HEADERS => Self::ExtendedHeaders,
            _ => return None,
        })
    }
}

/// The kind of a reply to an option.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplyKind(pub u32);

impl ReplyKind {
    /// Done.
    pub const ACK: Self = Self(1);
    /// An export of a list.
    pub const SERVER: Self = Self(2);
    /// A piece of information about an export.
    pub const INFO: Self = Self(3);
    /// A metadata context.
    pub const META_CONTEXT: Self = Self(4);
    /// The option is not known.
    pub const UNSUPPORTED: Self = Self(1 << 31 | 1);
    /// The server's administrator does not allow it.
    pub const POLICY: Self = Self(1 << 31 | 2);
    /// The option's data make no sense.
    pub const INVALID: Self = Self(1 << 31 | 3);
    /// The server's machine cannot do it.
    pub const PLATFORM: Self = Self(1 << 31 | 4);
    /// Only after STARTTLS.
    pub const TLS_REQUIRED: Self = Self(1 << 31 | 5);
    /// No such export.
    pub const UNKNOWN: Self = Self(1 << 31 | 6);
    /// The server is being stopped.
    pub const SHUTDOWN: Self = Self(1 << 31 | 7);
    /// The client must ask for block sizes.
    pub const BLOCK_SIZE_REQUIRED: Self = Self(1 << 31 | 8);
    /// The option's data are too long.
    pub const TOO_BIG: Self = Self(1 << 31 | 9);
    /// Only with extended headers.
    pub const EXTENDED_HEADERS_REQUIRED: Self = Self(1 << 31 | 10);

    /// Whether it says no.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 & 1 << 31 != 0
    }
}

impl fmt::Display for ReplyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::ACK => "done",
            Self::SERVER => "an export",
            Self::INFO => "information",
            Self::META_CONTEXT => "a metadata context",
            Self::UNSUPPORTED => "the option is not supported",
            Self::POLICY => "not allowed by the server's policy",
            Self::INVALID => "the option is not valid",
            Self::PLATFORM => "not supported on the server's platform",
            Self::TLS_REQUIRED => "TLS is required",
            Self::UNKNOWN => "no such export",
            Self::SHUTDOWN => "the server is shutting down",
            Self::BLOCK_SIZE_REQUIRED => "block sizes must be negotiated",
            Self::TOO_BIG => "the option is too big",
            Self::EXTENDED_HEADERS_REQUIRED => "extended headers are required",
            Self(number) => return write!(f, "reply {number:#x}"),
        })
    }
}

impl fmt::Debug for ReplyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} ({self})", self.0)
    }
}

/// The 16 bytes that begin an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OptionHeader {
    pub(crate) option: OptionCode,
    /// The number of bytes of data that follow.
    pub(crate) length: u32,
}

impl OptionHeader {
    pub(crate) const BYTES: usize = 16;

    /// Takes it from the front of `input`; `None` where it is not there in full.
    pub(crate) fn decode(input: &mut impl Buf) -> Result<Option<Self>, WrongMagic> {
        if input.remaining() < Self::BYTES {
            return Ok(None);
        }
        expect_magic(input.get_u64(), OPTION_MAGIC)?;
        let option = OptionCode(input.get_u32());
        Ok(Some(Self { option, length: input.get_u32() }))
    }
}

/// Appends an option with its data.
pub(crate) fn put_option(output: &mut BytesMut, option: OptionCode, data: &[u8]) {
    output.put_u64(OPTION_MAGIC);
    output.put_u32(option.0);
    output.put_u32(on_wire(data.len()));
    output.put_slice(data);
}

/// The 20 bytes that begin a reply to an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReplyHeader {
    pub(crate) option: OptionCode,
    pub(crate) kind: ReplyKind,
    /// The number of bytes of data that follow.
    pub(crate) length: u32,
}

impl ReplyHeader {
    pub(crate) const BYTES: usize = 20;

    /// Takes it from the front of `input`; `None` where it is not there in full.
    pub(crate) fn decode(input: &mut impl Buf) -> Result<Option<Self>, WrongMagic> {
        if input.remaining() < Self::BYTES {
            return Ok(None);
        }
        expect_magic(input.get_u64(), OPTION_REPLY_MAGIC)?;
        let option = OptionCode(input.get_u32());
        let kind = ReplyKind(input.get_u32());
        Ok(Some(Self { option, kind, length: input.get_u32() }))
    }
}

/// Appends a reply with its data.
pub(crate) fn put_reply(output: &mut BytesMut, option: OptionCode, kind: ReplyKind, data: &[u8]) {
    output.put_u64(OPTION_REPLY_MAGIC);
    output.put_u32(option.0);
    output.put_u32(kind.0);
    output.put_u32(on_wire(data.len()));
    output.put_slice(data);
}

pub(crate) const fn expect_magic(found: u64, expected: u64) -> Result<(), WrongMagic> {
    if found == expected { Ok(()) } else { Err(WrongMagic { expected, found }) }
}

/// A reply that says no, and why; the negotiation goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    kind: ReplyKind,
    text: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(kind: ReplyKind, text: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, text: text.into() }
    }

    pub(crate) fn put(&self, output: &mut BytesMut, option: OptionCode) {
        put_reply(output, option, self.kind, clip(&self.text, STRING_BYTES_MAX).as_bytes());
    }
}

/// The bytes as the name of an export: a string of the protocol is UTF-8 without a NUL, at most 4096 bytes.
pub(crate) fn export_name(bytes: &[u8]) -> Result<&str, Refusal> {
    if bytes.len() > STRING_BYTES_MAX {
        return Err(Refusal::new(ReplyKind::TOO_BIG, "the export name is longer than 4096 bytes"));
    }
    match std::str::from_utf8(bytes) {
        Ok(name) if !name.contains('\0') => Ok(name),
        _ => Err(Refusal::new(ReplyKind::INVALID, "the export name is not UTF-8, or has a NUL")),
    }
}
