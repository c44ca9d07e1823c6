//! Requests of the transmission phase ("Request message").

use std::fmt;

use bytes::{Buf, BufMut};

use crate::limits::PAYLOAD_BYTES_MAX;
use crate::wire::REQUEST_MAGIC;
use crate::{CommandFlags, ErrorNumber, WrongMagic};

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
            Self::Other(number) => number,
        }
    }

    /// The flags that it takes from a client to which nothing was offered beyond simple replies. FUA is
    /// legal on every command.
    const fn flags(self) -> CommandFlags {
        match self {
            Self::WriteZeroes => CommandFlags::FUA.with(CommandFlags::NO_HOLE),
            _ => CommandFlags::FUA,
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
            Self::Other(number) => return write!(f, "command {number}"),
        })
    }
}

/// The 28 bytes that begin a request. Decoded as they stand: whether they make sense is [`Self::refusal`]'s
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
    /// How many bytes it is about; of a WRITE, how many follow the header.
    pub length: u32,
}

impl RequestHeader {
    /// Its size on the wire.
    pub const BYTES: usize = 28;

    /// Takes the header at the front of `input`.
    ///
    /// Returns `None`, and takes nothing, where it is not there in full.
    ///
    /// # Errors
    /// Where it does not begin with its magic number. The session cannot go on.
    pub fn decode(input: &mut impl Buf) -> Result<Option<Self>, WrongMagic> {
        if input.remaining() < Self::BYTES {
            return Ok(None);
        }
        let magic = input.get_u32();
        if magic != REQUEST_MAGIC {
            return Err(WrongMagic { expected: REQUEST_MAGIC.into(), found: magic.into() });
        }
        let flags = CommandFlags::from_bits(input.get_u16());
        let command = Command::from_number(input.get_u16());
        let cookie = Cookie(input.get_u64());
        let offset = input.get_u64();
        let length = input.get_u32();
        Ok(Some(Self { command, flags, cookie, offset, length }))
    }

    /// Appends it to `output`.
    pub fn encode(&self, output: &mut impl BufMut) {
        output.put_u32(REQUEST_MAGIC);
        output.put_u16(self.flags.bits());
        output.put_u16(self.command.number());
        output.put_u64(self.cookie.0);
        output.put_u64(self.offset);
        output.put_u32(self.length);
    }

    /// The number of bytes that follow it, whatever else is wrong with it: they are to be taken from the
    /// connection even where it is refused.
    #[must_use]
    pub const fn payload_bytes(&self) -> u32 {
        match self.command {
            Command::Write => self.length,
            _ => 0,
        }
    }

    /// The error that it is answered with, whatever the export: a command or a flag that is not known, or
    /// a payload above [`PAYLOAD_BYTES_MAX`].
    #[must_use]
    pub fn refusal(&self) -> Option<ErrorNumber> {
        let unknown_command = matches!(self.command, Command::Other(_));
        let unknown_flags = !self.flags.without(self.command.flags()).is_empty();
        let carries = matches!(self.command, Command::Read | Command::Write);
        let too_long = carries && self.length > PAYLOAD_BYTES_MAX;
        (unknown_command || unknown_flags || too_long).then_some(ErrorNumber::Invalid)
    }
}
