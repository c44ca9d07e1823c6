//! A request on its way to the journal: in `absent` and in `replaying`.
//!
//! A change is acknowledged when it is in the journal, with FUA when the journal is synced. A read takes what the
//! journal has and the rest from the medium underneath, where there is one. What is in the journal is newer than
//! the medium until the replay has synced the medium, and only then leaves the journal; so to look into the journal
//! first and at the medium second never shows old data.
//!
//! What a medium left behind may be on its way into the journal still. Changes and reads see to that piece by piece
//! (`backlog`); a flush waits for all of it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::BytesMut;
use hotbay_block::{
    Durability, Error, ErrorKind, Extent, Payload, Pipe, Reply, Request, Result, with_sources,
};
use hotbay_journal::{Change, Content, PartlyLent, Piece};
use tokio::time::sleep;

use crate::attachment::Attachment;
use crate::event::EventKind;
use crate::gate::Gate;
use crate::handle::Outcome;
use crate::journal_log::{JournalLog, NotAppended};
use crate::route::Under;
use crate::sync_place::Company;
use crate::volume::Volume;

/// Carries out a request on the journal, with the medium underneath, if there is one.
pub(crate) async fn execute(
    volume: &Arc<Volume>,
    gate: &Arc<Gate>,
    under: Option<&Under>,
    request: Request,
) -> Outcome {
    match request {
        Request::Read { extent, buffer, pipe } => read(volume, under, extent, buffer, pipe).await,
        Request::Cache { .. } => Outcome::Answer(Ok(Reply::Done)),
        Request::Write { .. } | Request::Zero { .. } | Request::Trim { .. } | Request::Flush => {
            hold_back(under, &request).await;
            let Some(passage) = Passage::through(gate) else { return Outcome::Moved(request) };
            change_or_flush(volume, &passage, request).await
        }
    }
}

/// Slows a change down where a replay would not come to its end otherwise. Outside the gate, so that the replay's last
/// pass waits for nobody who only waits.
async fn hold_back(under: Option<&Under>, request: &Request) {
    let pause = under.map_or(Duration::ZERO, |under| under.pace.hold_back());
    if request.is_change() && !pause.is_zero() {
        sleep(pause).await;
    }
}

/// Is inside the gate while it lives.
struct Passage<'a>(&'a Gate);

impl<'a> Passage<'a> {
    fn company(&self) -> Company {
        if self.0.has_one() { Company::Alone } else { Company::Others }
    }

    fn through(gate: &'a Gate) -> Option<Self> {
        gate.enter().then(|| Self(gate))
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

async fn change_or_flush(volume: &Arc<Volume>, passage: &Passage<'_>, request: Request) -> Outcome {
    let log = volume.log();
    if let Some(change) = as_change(&request) {
        match log.append(change).await {
            Ok(()) => volume.journal_has_grown(&log),
            Err(NotAppended::Full(lack)) => return Outcome::NeedsRoom(request, lack),
            Err(NotAppended::Behind) => return Outcome::Behind(request),
            Err(NotAppended::Broken(why)) => return broken(volume, &why),
        }
    }
    if request.durability() != Some(Durability::Deferred) {
        if !log.backlog.is_empty() {
            // A change is in, so that what remains is to make it durable.
            return Outcome::Behind(Request::Flush);
        }
        if let Err(error) = log.sync(passage.company()).await {
            return broken(volume, &with_sources(&error));
        }
    }
    Outcome::Answer(Ok(Reply::Done))
}

fn as_change(request: &Request) -> Option<Change> {
    match request {
        Request::Write { extent, data, .. } => {
            Some(Change::Write { offset: extent.offset(), data: data.clone() })
        }
        Request::Zero { extent, .. } => Some(Change::Zeroes(*extent)),
        Request::Trim { extent, .. } => Some(Change::Trim(*extent)),
        Request::Read { .. } | Request::Cache { .. } | Request::Flush => None,
    }
}

/// The journal cannot be trusted with another write: fail closed.
fn broken(volume: &Arc<Volume>, why: &str) -> Outcome {
    volume.fail(why);
    Outcome::Answer(Err(Error::new(
        ErrorKind::PreviousFailure,
        format!("the journal is broken: {why}"),
    )))
}

async fn read(
    volume: &Arc<Volume>,
    under: Option<&Under>,
    extent: Extent,
    buffer: BytesMut,
    mut pipe: Option<Pipe>,
) -> Outcome {
    let PartlyLent { before: pieces, lent, after } = volume.log().lend(extent, &mut pipe);
    if pieces.iter().all(|piece| piece.content.is_some()) {
        let mut payload = Payload::default();
        add_contents(&mut payload, pieces);
        lent.into_iter().for_each(|lent| payload.extend(lent.into()));
        add_contents(&mut payload, after);
        return Outcome::Answer(Ok(Reply::Data(payload)));
    }
    let request = Request::Read { extent, buffer, pipe };
    let Some(Under { attachment, .. }) = under else { return Outcome::NeedsMedium(request) };
    let Some(_visit) = attachment.visit() else { return Outcome::Moved(request) };
    match read_over_medium(attachment, request, pieces).await {
        Some(Err(error)) if error.kind() == ErrorKind::Gone => {
            volume.lose(attachment, error);
            Outcome::Moved(Request::read(extent))
        }
        Some(answer) if !attachment.is_fenced() => Outcome::Answer(answer.map(Reply::Data)),
        _ => Outcome::Moved(Request::read(extent)),
    }
}

/// The error of a read that needs the medium, with the first byte that only the medium has.
pub(crate) fn at_first_missing(volume: &Volume, request: &Request, error: Error) -> Error {
    let pieces = request.extent().map(|extent| volume.log().pieces(extent)).unwrap_or_default();
    match pieces.iter().find(|piece| piece.content.is_none()) {
        Some(missing) => error.at(missing.extent.offset()),
        None => error,
    }
}

/// `None` where the attachment was left before the medium answered.
async fn read_over_medium(
    attachment: &Arc<Attachment>,
    request: Request,
    pieces: Vec<Piece>,
) -> Option<Result<Payload>> {
    if pieces.iter().all(|piece| piece.content.is_none()) {
        return Some(attachment.execute(request).await?.map(Reply::into_payload));
    }
    let mut payload = Payload::default();
    for piece in pieces {
        if piece.content.is_some() {
            add_content(&mut payload, piece);
            continue;
        }
        match attachment.execute(Request::read(piece.extent)).await? {
            Ok(part) => payload.extend(part.into_payload()),
            Err(error) => return Some(Err(error)),
        }
    }
    Some(Ok(payload))
}

fn add_contents(payload: &mut Payload, pieces: Vec<Piece>) {
    pieces.into_iter().for_each(|piece| add_content(payload, piece));
}

fn add_content(payload: &mut Payload, piece: Piece) {
    match piece.content {
        Some(Content::Data(data)) => payload.push(data),
        Some(Content::Zeroes | Content::Trimmed) => {
            payload.push_zeroes(piece.extent.len_in_memory());
        }
        None => unreachable!("only called for what the journal has"),
    }
}

impl Volume {
    /// Tells of a change that found no room; once, until there has been some.
    pub(crate) fn journal_is_full(&self, why: &str) {
        if !self.full_told.swap(true, Relaxed) {
            self.event(EventKind::JournalFull, format!("a change finds no room: {why}"));
        }
    }

    /// Tells once when the journal passes its watermark, and again when it has been below it.
    fn journal_has_grown(&self, log: &JournalLog) {
        // Looked at before it is written: what every change reads stays in every processor's cache.
        if self.full_told.load(Relaxed) {
            self.full_told.store(false, Relaxed);
        }
        let passed = log.is_above_watermark();
        if self.watermark_told.load(Relaxed) == passed {
            return;
        }
        let told = self.watermark_told.swap(passed, Relaxed);
        if passed && !told {
            let usage = log.usage();
            let (live, limit) = (usage.live_bytes >> 20, usage.limit_bytes >> 20);
            self.event(
                EventKind::JournalWatermark,
                format!("the journal holds {live} MiB of {limit} MiB: insert the medium soon"),
            );
        }
    }
}
