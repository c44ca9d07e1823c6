//! A request of NBD as one of a device.

use bytes::Bytes;
use hotbay_block::{Durability, Extent, Hole, Request};
use hotbay_nbd::{Command, CommandFlags, Dialect, ErrorNumber, ReplyTo, RequestHeader};

use super::answer::{Asked, Failure};
use super::arena::Arena;

/// The request for the device; a read gets its memory from the arena. The header has passed
/// [`RequestHeader::refusal`].
pub(super) fn translate(
    header: &RequestHeader,
    data: Bytes,
    arena: &mut Arena,
) -> Result<Request, Failure> {
    let durability = if header.flags.contains(CommandFlags::FUA) {
        Durability::Stable
    } else {
        Durability::Deferred
    };
    if header.command == Command::Flush {
        return Ok(Request::Flush);
    }
    let extent = extent(header)?;
    Ok(match header.command {
        Command::Read => {
            let buffer = arena.buffer(extent.len_in_memory());
            Request::Read { extent, buffer }
        }
        Command::Write => Request::Write { extent, data, durability },
        Command::WriteZeroes => Request::Zero { extent, hole: hole(header.flags), durability },
        Command::Trim => Request::Trim { extent, durability },
        Command::Cache => Request::Cache { extent },
        Command::Flush | Command::Disconnect | Command::Other(_) => {
            return Err(Failure::new(
                ErrorNumber::Invalid,
                "this server does not know the command",
            ));
        }
    })
}

/// The range; an end past 64 bits is past the end of any device.
fn extent(header: &RequestHeader) -> Result<Extent, Failure> {
    Extent::new(header.offset, header.length).ok_or_else(|| {
        let error = match header.command {
            Command::Write | Command::WriteZeroes => ErrorNumber::NoSpace,
            _ => ErrorNumber::Invalid,
        };
        Failure::new(error, "the range ends past 64 bits")
    })
}

const fn hole(flags: CommandFlags) -> Hole {
    if flags.contains(CommandFlags::NO_HOLE) { Hole::Forbidden } else { Hole::Allowed }
}

/// What its reply has to keep to.
pub(super) const fn asked(header: &RequestHeader) -> Asked {
    let to = ReplyTo { cookie: header.cookie, offset: header.offset };
    Asked { to, length: header.length, in_one_chunk: header.flags.contains(CommandFlags::DF) }
}

/// The bytes that a READ is answered with; `None` for any other request.
pub(super) const fn data_bytes(header: &RequestHeader) -> Option<u64> {
    match header.command {
        Command::Read => Some(header.length),
        _ => None,
    }
}

/// The bytes that a request carries, in either direction, and so makes the session hold.
pub(super) fn carried_bytes(header: &RequestHeader, dialect: Dialect) -> usize {
    let bytes = match header.command {
        Command::Read | Command::Write if header.refusal(dialect).is_none() => header.length,
        _ => 0,
    };
    usize::try_from(bytes).expect("a size in memory has 32 bits or more")
}
