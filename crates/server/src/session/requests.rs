//! A request of NBD as one of a device.

use bytes::{Bytes, BytesMut};
use hotbay_block::{Durability, Extent, Hole, Pipe, Request, Speed};
use hotbay_nbd::{
    Command, CommandFlags, Dialect, ErrorNumber, ReplyTo, RequestHeader, StatusPayload,
};

use super::answer::{Asked, Failure};
use super::arena::Arena;
use super::in_flight::Expects;
use crate::contexts::Contexts;

/// The most pieces that a BLOCK_STATUS is answered with; a client asks again for the rest.
const PIECES_MAX: usize = 1024;
/// The most that are looked at where one is wanted, which may have several of them.
const PIECES_FOR_ONE: usize = 64;
/// What the answer to a BLOCK_STATUS counts for, in bytes: three contexts that tell all pieces apart.
const STATUS_BYTES: u64 = 3 * 16 * 1024;

/// The request for the device; a read gets its memory from the arena, unless a pipe is offered with it. The header has passed
/// [`RequestHeader::refusal`].
pub(super) fn translate(
    header: &RequestHeader,
    data: Bytes,
    arena: &mut Arena,
    pipe: Option<Pipe>,
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
            let buffer = match pipe {
                Some(_) => BytesMut::new(),
                None => arena.buffer(extent.len_in_memory()),
            };
            Request::Read { extent, buffer, pipe }
        }
        Command::Write => Request::Write { extent, data, durability },
        Command::WriteZeroes => {
            let (hole, speed) = (hole(header.flags), speed(header.flags));
            Request::Zero { extent, hole, speed, durability }
        }
        Command::Trim => Request::Trim { extent, durability },
        Command::Cache => Request::Cache { extent },
        Command::Flush | Command::Disconnect | Command::BlockStatus | Command::Other(_) => {
            return Err(Failure::new(
                ErrorNumber::Invalid,
                "this server does not know the command",
            ));
        }
    })
}

/// The part of a WRITE behind its first `done` bytes, and whether it is the last one. The whole is within 64 bits.
pub(super) fn part(header: &RequestHeader, done: usize, data: Bytes) -> (Request, bool) {
    let (done, bytes) = (wide(done), wide(data.len()));
    let offset = header.offset + done;
    let extent = Extent::between(offset, offset + bytes);
    let part = Request::Write { extent, data, durability: Durability::Deferred };
    (part, done + bytes == header.length)
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

const fn speed(flags: CommandFlags) -> Speed {
    if flags.contains(CommandFlags::FAST_ZERO) { Speed::Fast } else { Speed::Any }
}

/// What its reply has to keep to.
pub(super) const fn asked(header: &RequestHeader) -> Asked {
    let to = ReplyTo { cookie: header.cookie, offset: header.offset };
    Asked { to, length: header.length, in_one_chunk: header.flags.contains(CommandFlags::DF) }
}

/// What a request is answered with; for all but BLOCK_STATUS.
pub(super) const fn expects(header: &RequestHeader) -> Expects {
    match header.command {
        Command::Read => Expects::Data(header.length),
        _ => Expects::Nothing,
    }
}

/// What a BLOCK_STATUS asks about, and how many pieces of it are looked for. With a payload it names some of the contexts
/// that were selected in the negotiation.
pub(super) fn translate_status(
    header: &RequestHeader,
    payload: &[u8],
    selected: Contexts,
) -> Result<(Extent, Contexts, usize), Failure> {
    let invalid = |text| Failure::new(ErrorNumber::Invalid, text);
    let (length, contexts) = if header.flags.contains(CommandFlags::PAYLOAD_LEN) {
        let asked = StatusPayload::decode(payload);
        let asked = asked.ok_or_else(|| invalid("the payload makes no sense"))?;
        let contexts = Contexts::of_numbers(&asked.contexts).filter(|some| selected.contain(*some));
        (asked.length, contexts.ok_or_else(|| invalid("the context was not selected"))?)
    } else {
        (header.length, selected)
    };
    if contexts.is_empty() {
        return Err(invalid("no metadata context was selected"));
    }
    let extent = Extent::new(header.offset, length);
    let extent = extent.ok_or_else(|| invalid("the range ends past 64 bits"))?;
    let first_alone = header.flags.contains(CommandFlags::REQ_ONE);
    Ok((extent, contexts, if first_alone { PIECES_FOR_ONE } else { PIECES_MAX }))
}

/// The bytes that a request carries, in either direction, and so makes the session hold.
pub(super) fn carried_bytes(header: &RequestHeader, dialect: Dialect) -> usize {
    let bytes = match header.command {
        Command::Read | Command::Write if header.refusal(dialect).is_none() => header.length,
        Command::BlockStatus => STATUS_BYTES,
        _ => 0,
    };
    usize::try_from(bytes).expect("a size in memory has 32 bits or more")
}

fn wide(size: usize) -> u64 {
    u64::try_from(size).expect("a size in memory has 64 bits or less")
}
