//! A device's requests as those of the protocol, by what the server can do.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt as _};
use hotbay_block::{Durability, Error, ErrorKind, Extent, Hole, Payload, Reply, Result};
use hotbay_nbd::client::Opened;
use hotbay_nbd::limits::PAYLOAD_BYTES_MAX;
use hotbay_nbd::{BlockSizes, Command, CommandFlags, ErrorNumber, TransmissionFlags};

use super::Link;
use super::connection::{Ask, Failure};

/// What a server takes that names no sizes.
const UNNAMED_MAXIMUM: u32 = 32 << 20;

/// The least that a server must take at a time.
const LEAST_MAXIMUM: u32 = 4096;

/// The most bytes that one request without a payload is about, so that no request takes for ever.
const RANGE_BYTES_MAX: u64 = 128 << 20;

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
        if minimum > 1 {
            return Err(format!("the server takes only whole blocks of {minimum} bytes"));
        }
        if maximum < LEAST_MAXIMUM {
            return Err(format!("the server takes at most {maximum} bytes at a time"));
        }
        // Pieces that begin with a page are kinder to whatever is below.
        let payload_bytes = u64::from(maximum.min(PAYLOAD_BYTES_MAX)) / 4096 * 4096;
        Ok(Self { flags, payload_bytes })
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
            length: u32::try_from(extent.length())
                .expect("a request is as long as its server takes"),
            data: Bytes::new(),
            into: BytesMut::new(),
        }
    }
}

impl Link {
    pub(super) async fn read(self: Arc<Self>, extent: Extent, buffer: BytesMut) -> Result<Reply> {
        let ask = |extent, into| Ask { into, ..Ask::about(Command::Read, extent) };
        if extent.length() <= self.abilities.payload_bytes {
            let bytes = self.ask(ask(extent, buffer)).await?;
            return Ok(Reply::Data(bytes.freeze().into()));
        }
        let pieces = extent.pieces(self.abilities.payload_bytes);
        let mut parts = stream::iter(pieces.map(|piece| self.ask(ask(piece, BytesMut::new()))))
            .buffered(PIECES_AT_ONCE);
        let mut whole = Ok(Payload::default());
        // Each is driven to its end, also behind one that failed.
        while let Some(part) = parts.next().await {
            match (&mut whole, part) {
                (Ok(payload), Ok(bytes)) => payload.push(bytes.freeze()),
                (Ok(_), Err(error)) => whole = Err(error),
                (Err(_), _) => {}
            }
        }
        whole.map(Reply::Data)
    }

    pub(super) async fn write(
        self: Arc<Self>,
        extent: Extent,
        data: Bytes,
        durability: Durability,
    ) -> Result<Reply> {
        self.check_stable(durability)?;
        let flags = self.abilities.stable(durability);
        let ask = |piece: Extent| {
            let data = data.slice(extent.range_of(piece));
            Ask { flags, data, ..Ask::about(Command::Write, piece) }
        };
        if extent.length() <= self.abilities.payload_bytes {
            let answer = self.ask(ask(extent)).await.map(drop);
            return self.settle(answer, flags, durability).await;
        }
        self.change(extent, self.abilities.payload_bytes, flags, durability, ask).await
    }

    pub(super) async fn zero(
        self: Arc<Self>,
        extent: Extent,
        hole: Hole,
        durability: Durability,
    ) -> Result<Reply> {
        self.check_stable(durability)?;
        let flags = self.abilities.stable(durability);
        if !self.abilities.can(TransmissionFlags::SEND_WRITE_ZEROES) {
            let step = self.abilities.payload_bytes.min(ZEROES.len() as u64);
            let ask = |piece: Extent| {
                let data = Bytes::from_static(&ZEROES[..piece.len_in_memory()]);
                Ask { flags, data, ..Ask::about(Command::Write, piece) }
            };
            return self.change(extent, step, flags, durability, ask).await;
        }
        let flags = flags.with_if(hole == Hole::Forbidden, CommandFlags::NO_HOLE);
        let ask = |piece| Ask { flags, ..Ask::about(Command::WriteZeroes, piece) };
        self.change(extent, RANGE_BYTES_MAX, flags, durability, ask).await
    }

    pub(super) async fn trim(
        self: Arc<Self>,
        extent: Extent,
        durability: Durability,
    ) -> Result<Reply> {
        self.check_stable(durability)?;
        if !self.abilities.can(TransmissionFlags::SEND_TRIM) {
            return Ok(Reply::Done);
        }
        let flags = self.abilities.stable(durability);
        let ask = |piece| Ask { flags, ..Ask::about(Command::Trim, piece) };
        self.change(extent, RANGE_BYTES_MAX, flags, durability, ask).await
    }

    pub(super) async fn cache(self: Arc<Self>, extent: Extent) -> Result<Reply> {
        if self.abilities.can(TransmissionFlags::SEND_CACHE) {
            for piece in extent.pieces(RANGE_BYTES_MAX) {
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

    /// Carries out a change in pieces, each driven to its end.
    async fn change(
        &self,
        extent: Extent,
        step: u64,
        flags: CommandFlags,
        durability: Durability,
        ask: impl Fn(Extent) -> Ask,
    ) -> Result<Reply> {
        let answers = stream::iter(extent.pieces(step).map(|piece| self.ask(ask(piece))))
            .buffer_unordered(PIECES_AT_ONCE)
            .fold(Ok(()), |all: Result<()>, answer| async move { all.and(answer.map(drop)) });
        let answer = answers.await;
        self.settle(answer, flags, durability).await
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

    async fn ask(&self, ask: Ask) -> Result<BytesMut> {
        let (command, offset, length) = (ask.command, ask.offset, ask.length);
        self.connection.ask(ask).await.map_err(|failure| match failure {
            Failure::Ended(end) => Error::new(ErrorKind::Gone, end.why),
            Failure::Refused(number) => {
                let what = format!("the server refuses {command} {offset}+{length}");
                Error::new(kind_of(number), what).caused_by(number)
            }
        })
    }
}

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
