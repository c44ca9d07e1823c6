//! What is asked of the export: the command line, held against what the export can do.

use std::fmt;
use std::time::Duration;

use hotbay_media::ByteSize;
use hotbay_nbd::client::Opened;
use hotbay_nbd::{BlockSizes, CommandFlags, TransmissionFlags};

use super::order::Order;
use crate::cli::BenchArgs;
use crate::commands::output::human_size;
use crate::failure::Failure;

/// What every server takes that does not say what it takes ("Block size constraints").
const UNTOLD_BLOCK_BYTES_MAX: u32 = 32 << 20;

/// A load that the export can bear.
#[derive(Clone, Debug)]
pub(super) struct Load {
    /// The length of a read or a write in bytes.
    pub(super) block_bytes: u32,
    /// Requests in flight in each session.
    pub(super) depth: usize,
    /// How many sessions.
    pub(super) sessions: usize,
    /// How many of a hundred requests are writes.
    pub(super) writes_percent: u8,
    /// In which order the blocks are taken.
    pub(super) order: Order,
    /// The flags of a write.
    pub(super) write_flags: CommandFlags,
    /// A flush follows this many writes of a session.
    pub(super) flush_every: Option<u32>,
    /// How long.
    pub(super) time: Duration,
    /// How many requests of all sessions, flushes not counted, where that is sooner.
    pub(super) requests: Option<u64>,
    /// Where the first block lies.
    pub(super) offset: u64,
    /// How many blocks there are.
    pub(super) blocks: u64,
}

impl Load {
    /// What the command line asks of this export.
    ///
    /// # Errors
    /// Where it would overwrite data without being told that it may, and where the export cannot do it.
    pub(super) fn new(arguments: &BenchArgs, opened: &Opened) -> Result<Self, Failure> {
        let writes_percent = match (arguments.write, arguments.mixed) {
            (true, _) => 100,
            (false, percent) => percent.unwrap_or(0),
        };
        if writes_percent > 0 {
            may_write(arguments, opened.flags)?;
        } else if arguments.fua || arguments.flush_every.is_some() {
            return Err(Failure::new(
                "--fua and --flush-every are about writes, and this load has none",
            )
            .with_hint("add --write or --mixed PERCENT"));
        }
        let block_bytes = block_bytes(arguments.block, opened)?;
        let (offset, blocks) = region(arguments, opened, block_bytes)?;
        Ok(Self {
            block_bytes,
            depth: usize::from(arguments.depth),
            sessions: usize::from(arguments.sessions),
            writes_percent,
            order: if arguments.sequential { Order::Sequential } else { Order::Random },
            write_flags: CommandFlags::NONE.with_if(arguments.fua, CommandFlags::FUA),
            flush_every: arguments.flush_every,
            time: arguments.time,
            requests: arguments.requests,
            offset,
            blocks,
        })
    }

    /// How many of the requests are session `number`'s.
    pub(super) fn share(&self, number: usize) -> u64 {
        let (number, sessions) = (number as u64, self.sessions as u64);
        self.requests.map_or(u64::MAX, |all| all / sessions + u64::from(number < all % sessions))
    }

    /// What is written: bytes of chance, so that nobody takes them for zeroes.
    pub(super) fn payload(&self) -> Vec<u8> {
        let length = if self.writes_percent > 0 { self.block_bytes as usize } else { 0 };
        let mut payload = vec![0; length];
        fastrand::Rng::with_seed(0).fill(&mut payload);
        payload
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let work = match self.writes_percent {
            0 => String::from("reads"),
            100 => String::from("writes"),
            percent => format!("reads and writes ({percent} % writes)"),
        };
        let plural = if self.sessions == 1 { "" } else { "s" };
        let Self { order, sessions, depth, .. } = self;
        let block = human_size(self.block_bytes.into());
        write!(
            f,
            "{order} {work} of {block}, {sessions} session{plural}, {depth} in flight in each"
        )?;
        if self.write_flags.contains(CommandFlags::FUA) {
            f.write_str(", FUA")?;
        }
        self.flush_every.iter().try_for_each(|writes| write!(f, ", a flush after {writes} writes"))
    }
}

fn may_write(arguments: &BenchArgs, flags: TransmissionFlags) -> Result<(), Failure> {
    let uri = &arguments.uri;
    if !arguments.destroy_data {
        return Err(Failure::new(format!("writes would destroy the data on {uri}"))
            .with_hint("add --destroy-data if nothing on it is needed any more"));
    }
    if flags.contains(TransmissionFlags::READ_ONLY) {
        return Err(Failure::new(format!("the export at {uri} is read-only")));
    }
    if arguments.fua && !flags.contains(TransmissionFlags::SEND_FUA) {
        return Err(Failure::new(format!("the export at {uri} does not do FUA"))
            .with_hint("measure with --flush-every N instead"));
    }
    if arguments.flush_every.is_some() && !flags.contains(TransmissionFlags::SEND_FLUSH) {
        return Err(Failure::new(format!("the export at {uri} does not do flushes")));
    }
    Ok(())
}

fn block_bytes(asked: ByteSize, opened: &Opened) -> Result<u32, Failure> {
    let untold = BlockSizes { minimum: 1, preferred: 4096, maximum: UNTOLD_BLOCK_BYTES_MAX };
    let BlockSizes { minimum, maximum, .. } = opened.block_sizes.unwrap_or(untold);
    let minimum = minimum.max(1);
    let maximum = maximum.min(hotbay_nbd::limits::PAYLOAD_BYTES_MAX);
    match u32::try_from(asked.0) {
        Ok(bytes) if bytes > 0 && bytes <= maximum && bytes.is_multiple_of(minimum) => Ok(bytes),
        _ => {
            let (minimum, maximum) = (ByteSize(minimum.into()), ByteSize(maximum.into()));
            Err(Failure::new(format!("a block of {asked} is not one of this export"))
                .with_hint(format!("write a multiple of {minimum} up to {maximum}")))
        }
    }
}

/// Where the first block lies, and how many there are.
fn region(arguments: &BenchArgs, opened: &Opened, block_bytes: u32) -> Result<(u64, u64), Failure> {
    let size_bytes = opened.size_bytes;
    let ByteSize(offset) = arguments.offset;
    let length = arguments.length.map_or(size_bytes.saturating_sub(offset), |length| length.0);
    let (uri, size) = (&arguments.uri, ByteSize(size_bytes));
    if offset.checked_add(length).is_none_or(|end| end > size_bytes) {
        return Err(Failure::new(format!("the export at {uri} ends before that: it has {size}"))
            .with_hint("give a smaller --offset or --length"));
    }
    let minimum = opened.block_sizes.map_or(1, |sizes| sizes.minimum.max(1));
    if !offset.is_multiple_of(minimum.into()) {
        let minimum = ByteSize(minimum.into());
        return Err(Failure::new(format!(
            "the export at {uri} takes offsets in steps of {minimum}"
        )));
    }
    match length / u64::from(block_bytes) {
        0 => Err(Failure::new(format!(
            "not one block of {} fits in what is to be used of {uri}, which has {size}",
            ByteSize(block_bytes.into())
        ))
        .with_hint("give a smaller --block or a larger --length")),
        blocks => Ok((offset, blocks)),
    }
}
