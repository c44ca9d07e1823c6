//! A device's requests as those of the protocol, by what the server can do.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt as _};
use hotbay_block::{Durability, Error, ErrorKind, Extent, Hole, Payload, Reply, Result, Speed};
use hotbay_nbd::client::{Opened, Refusal};
use hotbay_nbd::limits::PAYLOAD_BYTES_MAX;
use hotbay_nbd::{BlockSizes, Command, CommandFlags, Dialect, ErrorNumber, TransmissionFlags};

use super::Link;
use super::connection::{Ask, Failure};
use super::in_flight::Given;

/// What a server takes that names no sizes.
const UNNAMED_MAXIMUM: u32 = 32 << 20;

/// The least that a server must take at a time, and the largest block that it may insist on.
const LEAST_MAXIMUM: u32 = 4096;
const BLOCK_BYTES_MAX: u32 = 64 << 10;

/// The most bytes that one change without a payload is about, where the server knows no longer ones than it once did: it
/// may be slow in them.
const RANGE_BYTES_MAX: u64 = 128 << 20;

/// The same for a server that wanted 64 bits for their number.
const LONG_RANGE_BYTES_MAX: u64 = 1 << 63;

/// Zeroes, for a server that can only be sent them; what is sent of them at a time.
static ZEROES: [u8; 256 << 10] = [0; 256 << 10];

/// How many pieces of one request are under way at once.
const PIECES_AT_ONCE: usize = 16;

/// What the server can do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Abilities {
    flags: TransmissionFlags,
    /// The longest payload in bytes.
    payload_bytes: u64,
    /// The most bytes that a change without a payload is about.
    pub(super) range_bytes: u64,
    /// It tells where bytes are stored.
    pub(super) tells_status: bool,
    /// What offsets and lengths are to be multiples of: a power of two.
    pub(super) block_bytes: u32,
}

impl Abilities {
    /// Says why the export cannot be a medium, where it cannot.
    pub(super) fn of(opened: &Opened) -> Result<Self, String> {
        let flags = opened.flags;
        if flags.contains(TransmissionFlags::READ_ONLY) {
            return Err("the server gives it read-only".to_owned());
        }
        if !flags.contains(TransmissionFlags::SEND_FLUSH) {
            return Err("the server has no flush, so nothing on it could be called durable".into());
        }
        if i64::try_from(opened.size_bytes).is_err() {
            return Err(format!("no device has {} bytes", opened.size_bytes));
        }
        let unnamed = BlockSizes { minimum: 1, preferred: 4096, maximum: UNNAMED_MAXIMUM };
        let BlockSizes { minimum, maximum, .. } = opened.block_sizes.unwrap_or(unnamed);
        let block_bytes = minimum.max(1);
        if !block_bytes.is_power_of_two() || block_bytes > BLOCK_BYTES_MAX {
            return Err(format!("the server takes only whole blocks of {minimum} bytes"));
        }
        if !opened.size_bytes.is_multiple_of(block_bytes.into()) {
            let size = opened.size_bytes;
            return Err(format!("its {size} bytes are not whole blocks of {block_bytes} bytes"));
        }
        if maximum < LEAST_MAXIMUM.max(block_bytes) {
            return Err(format!("the server takes at most {maximum} bytes at a time"));
        }
        // Pieces that begin with a page are kinder to whatever is below.
        let step = LEAST_MAXIMUM.max(block_bytes);
        let payload_bytes = (maximum.min(PAYLOAD_BYTES_MAX) / step * step).into();
        let range_bytes = match opened.dialect {
            Dialect::Simple | Dialect::Structured => RANGE_BYTES_MAX,
            Dialect::Extended => LONG_RANGE_BYTES_MAX,
        };
        let tells_status = opened.allocation.is_some();
        Ok(Self { flags, payload_bytes, range_bytes, tells_status, block_bytes })
    }

    const fn can(self, flag: TransmissionFlags) -> bool {
        self.flags.contains(flag)
    }

    /// The flag that makes a change stable, where the server has it.
    fn stable(self, durability: Durability) -> CommandFlags {
        let asked = durability == Durability::Stable && self.can(TransmissionFlags::SEND_FUA);
        CommandFlags::NONE.with_if(asked, CommandFlags::FUA)
    }
}

impl Ask {
    /// About a range, with nothing else.
    pub(super) fn about(command: Command, extent: Extent) -> Self {
        Self {
            command,
            flags: CommandFlags::NONE,
            offset: extent.offset(),
            length: extent.length(),
            data: Bytes::new(),
            into: BytesMut::new(),
        }
    }
}

impl Link {
    pub(super) async fn read(self: Arc<Self>, extent: Extent, buffer: BytesMut) -> Result<Reply> {
        if self.blocks.are_whole(extent) {
            return self.get(extent, buffer).await.map(Reply::Data);
        }
        let around = self.blocks.around(extent);
        let bytes = self.get(around, buffer).await?.into_bytes();
        Ok(Reply::Data(bytes.slice(around.range_of(extent)).into()))
    }

    pub(super) async fn write(
        self: Arc<Self>,
        extent: Extent,
        data: Bytes,
        durability: Durability,
    ) -> Result<Reply> {
        self.check_stable(durability)?;
        let flags = self.abilities.stable(durability);
        let turn = self.blocks.turn(extent).await;
        let parts = self.blocks.parts(extent);
        let part = |part| data.slice(extent.range_of(part));
        let mut answer = self.patch(parts.head, &part(parts.head), flags).await;
        answer = answer.and(self.put(parts.whole, part(parts.whole), flags).await);
        answer = answer.and(self.patch(parts.tail, &part(parts.tail), flags).await);
        drop(turn);
        self.settle(answer, flags, durability).await
    }

    pub(super) async fn zero(
        self: Arc<Self>,
        extent: Extent,
        hole: Hole,
        speed: Speed,
        durability: Durability,
    ) -> Result<Reply> {
        self.check_stable(durability)?;
        let flags = self.abilities.stable(durability);
        let turn = self.blocks.turn(extent).await;
        let parts = self.blocks.parts(extent);
        let zeroes = |part: Extent| &ZEROES[..part.len_in_memory()];
        let mut answer = match speed {
            Speed::Any => self.wipe(parts.whole, hole, flags).await,
            Speed::Fast => self.wipe_quickly(parts.whole, hole, flags).await,
        };
        if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Slow) {
            // Nothing is changed, so nothing has failed to become stable either.
            return answer.map(|()| Reply::Done);
        }
        answer = answer.and(self.patch(parts.head, zeroes(parts.head), flags).await);
        answer = answer.and(self.patch(parts.tail, zeroes(parts.tail), flags).await);
        drop(turn);
        self.settle(answer, flags, durability).await
    }

    pub(super) async fn trim(
        self: Arc<Self>,
        extent: Extent,
        durability: Durability,
    ) -> Result<Reply> {
        self.check_stable(durability)?;
        // Of a block in part nothing can be let go.
        let whole = self.blocks.parts(extent).whole;
        if !self.abilities.can(TransmissionFlags::SEND_TRIM) || whole.is_empty() {
            return Ok(Reply::Done);
        }
        let flags = self.abilities.stable(durability);
        let turn = self.blocks.turn(whole).await;
        let ask = |piece| Ask { flags, ..Ask::about(Command::Trim, piece) };
        let answer = self.in_pieces(whole, self.abilities.range_bytes, ask).await;
        drop(turn);
        self.settle(answer, flags, durability).await
    }

    pub(super) async fn cache(self: Arc<Self>, extent: Extent) -> Result<Reply> {
        if self.abilities.can(TransmissionFlags::SEND_CACHE) {
            for piece in self.blocks.around(extent).pieces(self.abilities.payload_bytes) {
                // A hint always succeeds, unless there is nobody to be told.
                match self.ask(Ask::about(Command::Cache, piece)).await {
                    Err(error) if error.kind() == ErrorKind::Gone => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(Reply::Done)
    }

    pub(super) async fn flush(self: Arc<Self>) -> Result<Reply> {
        self.check_stable(Durability::Stable)?;
        let answer = self.ask(Ask::about(Command::Flush, Extent::between(0, 0))).await.map(drop);
        self.latch(answer)
    }

    /// Reads whole blocks.
    async fn get(&self, extent: Extent, buffer: BytesMut) -> Result<Payload> {
        let ask = |extent, into| Ask { into, ..Ask::about(Command::Read, extent) };
        if extent.length() <= self.abilities.payload_bytes {
            return Ok(self.ask(ask(extent, buffer)).await?.bytes.freeze().into());
        }
        let pieces = extent.pieces(self.abilities.payload_bytes);
        let mut parts = stream::iter(pieces.map(|piece| self.ask(ask(piece, BytesMut::new()))))
            .buffered(PIECES_AT_ONCE);
        let mut whole = Ok(Payload::default());
        // Each is driven to its end, also behind one that failed.
        while let Some(part) = parts.next().await {
            match (&mut whole, part) {
                (Ok(payload), Ok(given)) => payload.push(given.bytes.freeze()),
                (Ok(_), Err(error)) => whole = Err(error),
                (Err(_), _) => {}
            }
        }
        whole
    }

    /// Writes whole blocks, or nothing.
    async fn put(&self, extent: Extent, data: Bytes, flags: CommandFlags) -> Result<()> {
        if extent.is_empty() {
            return Ok(());
        }
        let ask = |piece: Extent| {
            let data = data.slice(extent.range_of(piece));
            Ask { flags, data, ..Ask::about(Command::Write, piece) }
        };
        match extent.length() <= self.abilities.payload_bytes {
            true => self.ask(ask(extent)).await.map(drop),
            false => self.in_pieces(extent, self.abilities.payload_bytes, ask).await,
        }
    }

    /// Zeroes whole blocks, or nothing.
    async fn wipe(&self, extent: Extent, hole: Hole, flags: CommandFlags) -> Result<()> {
        if self.abilities.can(TransmissionFlags::SEND_WRITE_ZEROES) {
            let flags = flags.with_if(hole == Hole::Forbidden, CommandFlags::NO_HOLE);
            let ask = |piece| Ask { flags, ..Ask::about(Command::WriteZeroes, piece) };
            return self.in_pieces(extent, self.abilities.range_bytes, ask).await;
        }
        let step = self.abilities.payload_bytes.min(ZEROES.len() as u64);
        let ask = |piece: Extent| {
            let data = Bytes::from_static(&ZEROES[..piece.len_in_memory()]);
            Ask { flags, data, ..Ask::about(Command::Write, piece) }
        };
        self.in_pieces(extent, step, ask).await
    }

    /// Zeroes whole blocks where that is quick. The first piece tells of all: it is refused before anything is changed, and what
    /// is quick for it is so for the next.
    async fn wipe_quickly(&self, extent: Extent, hole: Hole, flags: CommandFlags) -> Result<()> {
        let tells = self.abilities.can(TransmissionFlags::SEND_FAST_ZERO);
        let mut pieces = extent.pieces(self.abilities.range_bytes).filter(|_| tells);
        let Some(first) = pieces.next() else { return Err(ErrorKind::Slow.into()) };
        let asked = flags.with_if(hole == Hole::Forbidden, CommandFlags::NO_HOLE);
        let asked = asked.with(CommandFlags::FAST_ZERO);
        self.ask(Ask { flags: asked, ..Ask::about(Command::WriteZeroes, first) }).await?;
        self.wipe(Extent::between(first.end(), extent.end()), hole, flags).await
    }

    /// Changes a block in part, or nothing. For who is alone with the medium.
    async fn patch(&self, edge: Extent, data: &[u8], flags: CommandFlags) -> Result<()> {
        if edge.is_empty() {
            return Ok(());
        }
        let block = self.blocks.around(edge);
        let mut bytes = self.ask(Ask::about(Command::Read, block)).await?.bytes;
        bytes[block.range_of(edge)].copy_from_slice(data);
        self.put(block, bytes.freeze(), flags).await
    }

    /// Makes a change in pieces, each driven to its end.
    async fn in_pieces(
        &self,
        extent: Extent,
        step: u64,
        ask: impl Fn(Extent) -> Ask,
    ) -> Result<()> {
        stream::iter(extent.pieces(step).map(|piece| self.ask(ask(piece))))
            .buffer_unordered(PIECES_AT_ONCE)
            .fold(Ok(()), |all: Result<()>, answer| async move { all.and(answer.map(drop)) })
            .await
    }

    /// Makes a change stable that has to be, where the server was not told so with the change itself.
    async fn settle(
        &self,
        answer: Result<()>,
        flags: CommandFlags,
        durability: Durability,
    ) -> Result<Reply> {
        match durability {
            Durability::Deferred => answer.map(|()| Reply::Done),
            Durability::Stable if flags.contains(CommandFlags::FUA) => self.latch(answer),
            Durability::Stable => {
                answer?;
                let flush = Ask::about(Command::Flush, Extent::between(0, 0));
                self.latch(self.ask(flush).await.map(drop))
            }
        }
    }

    /// Remembers that bringing to stable storage has failed.
    fn latch(&self, answer: Result<()>) -> Result<Reply> {
        if answer.is_err() {
            self.flush_failed.store(true, Ordering::SeqCst);
        }
        answer.map(|()| Reply::Done)
    }

    /// After a flush that failed nothing is brought to stable storage over this connection.
    fn check_stable(&self, durability: Durability) -> Result<()> {
        if durability == Durability::Stable && self.flush_failed.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::PreviousFailure, "an earlier flush has failed"));
        }
        Ok(())
    }

    pub(super) async fn ask(&self, ask: Ask) -> Result<Given> {
        let (command, offset, length) = (ask.command, ask.offset, ask.length);
        let is_in_a_hurry = ask.flags.contains(CommandFlags::FAST_ZERO);
        self.connections.ask(ask).await.map_err(|failure| match failure {
            Failure::Ended(end) => Error::new(ErrorKind::Gone, end.why),
            Failure::Refused(Refusal { error: ErrorNumber::NotSupported, .. }) if is_in_a_hurry => {
                ErrorKind::Slow.into()
            }
            Failure::Refused(refusal) => {
                let what = format!("the server refuses {command} {offset}+{length}");
                Error::new(kind_of(refusal.error), what).caused_by(Said(refusal))
            }
        })
    }
}

/// A server's no, with its own words where it has some.
#[derive(Debug)]
struct Said(Refusal);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { error, text, offset } = &self.0;
        error.fmt(f)?;
        offset.iter().try_for_each(|offset| write!(f, " at {offset}"))?;
        if text.is_empty() { Ok(()) } else { write!(f, ": {text}") }
    }
}

impl std::error::Error for Said {}

/// What a server's no means for the one who asked.
const fn kind_of(number: ErrorNumber) -> ErrorKind {
    match number {
        ErrorNumber::NotPermitted => ErrorKind::ReadOnly,
        ErrorNumber::Io | ErrorNumber::NoMemory => ErrorKind::Medium,
        ErrorNumber::Invalid => ErrorKind::Invalid,
        ErrorNumber::NoSpace => ErrorKind::NoSpace,
        ErrorNumber::Overflow | ErrorNumber::NotSupported => ErrorKind::Unsupported,
        // It ends in a moment, and comes back.
        ErrorNumber::ShuttingDown => ErrorKind::Gone,
    }
}
