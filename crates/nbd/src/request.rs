//! Requests of the transmission phase ("Request message").

use std::fmt;

use bytes::{Buf, BufMut};

use crate::limits::{PAYLOAD_BYTES_MAX, STATUS_PAYLOAD_BYTES_MAX};
use crate::wire::{EXTENDED_REQUEST_MAGIC, REQUEST_MAGIC};
use crate::{CommandFlags, Dialect, ErrorNumber, WrongMagic};

/// The client's own mark of a request, handed back in the reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cookie(pub u64);

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Read bytes.
    Read,
    /// Write the bytes that follow the header.
    Write,
    /// Finish what is under way and close; has no reply.
    Disconnect,
    /// Bring to stable storage what was answered before.
    Flush,
    /// The bytes are not needed any more.
    Trim,
    /// The bytes will be read soon.
    Cache,
    /// Make the bytes zero.
    WriteZeroes,
    /// Tell what is known of the bytes.
    BlockStatus,
    /// Any other number: to be refused, in step.
    Other(u16),
}

impl Command {
    /// The command of a number.
    #[must_use]
    pub const fn from_number(number: u16) -> Self {
        match number {
            0 => Self::Read,
            1 => Self::Write,
            2 => Self::Disconnect,
            3 => Self::Flush,
            4 => Self::Trim,
            5 => Self::Cache,
            6 => Self::WriteZeroes,
            7 => Self::BlockStatus,
            other => Self::Other(other),
        }
    }

    /// Its number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Read => 0,
            Self::Write => 1,
            Self::Disconnect => 2,
            Self::Flush => 3,
            Self::Trim => 4,
            Self::Cache => 5,
            Self::WriteZeroes => 6,
            Self::BlockStatus => 7,
            Self::Other(number) => number,
        }
    }

    /// The flags that it takes. FUA is legal on every command.
    const fn flags(self, dialect: Dialect) -> CommandFlags {
        let flags = CommandFlags::FUA;
        let chunks = !matches!(dialect, Dialect::Simple);
        let extended = matches!(dialect, Dialect::Extended);
        match self {
            Self::Read => flags.with_if(chunks, CommandFlags::DF),
            Self::Write => flags.with_if(extended, CommandFlags::PAYLOAD_LEN),
            Self::WriteZeroes => flags.with(CommandFlags::NO_HOLE).with(CommandFlags::FAST_ZERO),
            Self::BlockStatus => {
                flags.with(CommandFlags::REQ_ONE).with_if(extended, CommandFlags::PAYLOAD_LEN)
            }
            _ => flags,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::Disconnect => "DISC",
            Self::Flush => "FLUSH",
            Self::Trim => "TRIM",
            Self::Cache => "CACHE",
            Self::WriteZeroes => "WRITE_ZEROES",
            Self::BlockStatus => "BLOCK_STATUS",
            Self::Other(number) => return write!(f, "command {number}"),
        })
    }
}

/// The bytes that begin a request. Decoded as they stand: whether they make sense is [`Self::refusal`]'s
/// and the device's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// What to do.
    pub command: Command,
    /// How to do it.
    pub flags: CommandFlags,
    /// What to name in the reply.
    pub cookie: Cookie,
    /// The first byte that it is about.
    pub offset: u64,
    /// How many bytes it is about, or, see [`Self::payload_bytes`], how many follow the header. At most 32 bits,
    /// but for [`Dialect::Extended`].
    pub length: u64,
}

impl RequestHeader {
    /// Its size on the wire, but for [`Dialect::Extended`].
    pub const BYTES: usize = 28;

    /// Its size on the wire in any dialect.
    #[must_use]
    pub const fn bytes(dialect: Dialect) -> usize {
        match dialect {
            Dialect::Simple | Dialect::Structured => Self::BYTES,
            Dialect::Extended => Self::BYTES + 4,
        }
    }

    const fn magic(dialect: Dialect) -> u32 {
        match dialect {
            Dialect::Simple | Dialect::Structured => REQUEST_MAGIC,
            Dialect::Extended => EXTENDED_REQUEST_MAGIC,
        }
    }

    /// Takes the header at the front of `input`.
    ///
    /// Returns `None`, and takes nothing, where it is not there in full.
    ///
    /// # Errors
    /// Where it does not begin with its magic number. The session cannot go on.
    pub fn decode(input: &mut impl Buf, dialect: Dialect) -> Result<Option<Self>, WrongMagic> {
        if input.remaining() < Self::bytes(dialect) {
            return Ok(None);
        }
        let (magic, expected) = (input.get_u32(), Self::magic(dialect));
        if magic != expected {
            return Err(WrongMagic { expected: expected.into(), found: magic.into() });
        }
        let flags = CommandFlags::from_bits(input.get_u16());
        let command = Command::from_number(input.get_u16());
        let cookie = Cookie(input.get_u64());
        let offset = input.get_u64();
        let length = match dialect {
            Dialect::Simple | Dialect::Structured => input.get_u32().into(),
            Dialect::Extended => input.get_u64(),
        };
        Ok(Some(Self { command, flags, cookie, offset, length }))
    }

    /// Appends it to `output`.
    ///
    /// # Panics
    /// Where the dialect has no room for the length.
    pub fn encode(&self, output: &mut impl BufMut, dialect: Dialect) {
        output.put_u32(Self::magic(dialect));
        output.put_u16(self.flags.bits());
        output.put_u16(self.command.number());
        output.put_u64(self.cookie.0);
        output.put_u64(self.offset);
        match dialect {
            Dialect::Simple | Dialect::Structured => {
                output.put_u32(u32::try_from(self.length).expect("a length has 32 bits"));
            }
            Dialect::Extended => output.put_u64(self.length),
        }
    }

    /// The number of bytes that follow it, whatever else is wrong with it: they are to be taken from the
    /// connection even where it is refused.
    ///
    /// A WRITE is followed by bytes also where an extended one lacks PAYLOAD_LEN, which the protocol wants it to have: no
    /// client means anything else by it.
    #[must_use]
    pub const fn payload_bytes(&self, dialect: Dialect) -> u64 {
        let says_so =
            matches!(dialect, Dialect::Extended) && self.flags.contains(CommandFlags::PAYLOAD_LEN);
        if matches!(self.command, Command::Write) || says_so { self.length } else { 0 }
    }

    /// The error that it is answered with, whatever the export: a command or a flag that is not known, or
    /// a payload above its bound in [`limits`](crate::limits).
    #[must_use]
    pub fn refusal(&self, dialect: Dialect) -> Option<ErrorNumber> {
        let unknown_command = match self.command {
            Command::Other(_) => true,
            Command::BlockStatus => dialect == Dialect::Simple,
            _ => false,
        };
        let unknown_flags = !self.flags.without(self.command.flags(dialect)).is_empty();
        let most = match self.command {
            Command::Read | Command::Write => Some(PAYLOAD_BYTES_MAX),
            Command::BlockStatus if self.flags.contains(CommandFlags::PAYLOAD_LEN) => {
                Some(STATUS_PAYLOAD_BYTES_MAX)
            }
            _ => None,
        };
        let too_long = most.is_some_and(|most| self.length > most.into());
        (unknown_command || unknown_flags || too_long).then_some(ErrorNumber::Invalid)
    }
}
