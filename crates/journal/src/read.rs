//! What a journal holds: for reads, and for replay.

use std::collections::BTreeSet;
use std::sync::Arc;

use hotbay_block::Extent;

use crate::error::JournalError;
use crate::format::wide;
use crate::index::{Entry, Holds, Index};
use crate::reclaim::{checked_payload, corrupt};
use crate::segment::Segment;
use crate::{Content, Journal, LiveExtent, Piece, Sequence, Usage};

/// What an extent without bytes counts in a batch, so that a batch of them has an end.
const BATCH_WEIGHT_MIN: u64 = 512;

impl Journal {
    /// What the journal holds for an extent: pieces in ascending order that cover it exactly. Data is not copied; it
    /// stays readable for as long as it is held, and then keeps the space of its segment. It is not checked here: it
    /// was when the journal was opened, and is again for replay and relocation.
    #[must_use]
    pub fn pieces(&self, extent: Extent) -> Vec<Piece> {
        self.first_pieces(extent, usize::MAX)
    }

    /// The first of [`Self::pieces`], as many as `most`, or one more.
    #[must_use]
    pub fn first_pieces(&self, extent: Extent, most: usize) -> Vec<Piece> {
        pieces_in(&self.index.read(), extent, most)
    }

    /// Whether the journal holds every byte of an extent.
    #[must_use]
    pub fn covers(&self, extent: Extent) -> bool {
        let index = self.index.read();
        let mut at = extent.offset();
        for (held, _) in index.overlapping(extent) {
            if held.offset() > at {
                return false;
            }
            at = held.end();
        }
        at >= extent.end()
    }

    /// Whether the journal holds any byte of an extent.
    #[must_use]
    pub fn touches(&self, extent: Extent) -> bool {
        self.index.read().overlapping(extent).next().is_some()
    }

    /// The sequence of the newest change; [`Sequence::ZERO`] where there was none. Records that change nothing of the
    /// volume do not move it.
    #[must_use]
    pub fn head(&self) -> Sequence {
        self.index.read().head
    }

    /// Live extents for replay: from `from_offset` on, not newer than `up_to`, ascending, cut to begin at
    /// `from_offset`, and as many as have about `max_bytes` of data, but at least one where there is any. Each
    /// record's bytes are checked before they are given out.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] where a record is not what was written. Not latched.
    pub fn live_after(
        &self,
        from_offset: u64,
        up_to: Sequence,
        max_bytes: u64,
    ) -> Result<Vec<LiveExtent>, JournalError> {
        let chosen = self.choose_live(from_offset, up_to, max_bytes);
        let mut checked = BTreeSet::new();
        let mut live = Vec::with_capacity(chosen.len());
        for (extent, entry, segment) in chosen {
            if checked.insert((entry.slot, entry.record())) {
                check_record(&segment, &entry)?;
            }
            let content = content_of(&segment, &entry);
            live.push(LiveExtent { extent, content, sequence: entry.sequence });
        }
        Ok(live)
    }

    fn choose_live(
        &self,
        from_offset: u64,
        up_to: Sequence,
        max_bytes: u64,
    ) -> Vec<(Extent, Entry, Arc<Segment>)> {
        let index = self.index.read();
        let mut chosen = Vec::new();
        let mut weight = 0;
        for (extent, entry) in index.overlapping(Extent::between(from_offset, u64::MAX)) {
            if entry.sequence > up_to {
                continue;
            }
            if weight >= max_bytes && !chosen.is_empty() {
                break;
            }
            weight += entry.data_bytes().max(BATCH_WEIGHT_MIN);
            chosen.push((extent, entry, Arc::clone(&index.segments.holder(entry.slot).segment)));
        }
        chosen
    }

    /// The bytes of data in live extents that are not newer than `up_to`. Looks at every extent.
    #[must_use]
    pub fn live_bytes_up_to(&self, up_to: Sequence) -> u64 {
        let index = self.index.read();
        let old = index.iter().filter(|(_, entry)| entry.sequence <= up_to);
        old.map(|(_, entry)| entry.data_bytes()).sum()
    }

    /// Whether the journal holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.read().is_empty()
    }

    /// How much it holds. One short lock, so it may be asked for each change.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let index = self.index.read();
        Usage {
            live_bytes: index.live_bytes(),
            disk_bytes: index.segments.disk_bytes(),
            limit_bytes: self.ground.limit_bytes,
            extents: wide(index.len()),
        }
    }
}

/// The first pieces of an extent, as many as `most`, or one more.
pub(crate) fn pieces_in(index: &Index, extent: Extent, most: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = extent.offset();
    for (held, entry) in index.overlapping(extent) {
        if pieces.len() >= most {
            return pieces;
        }
        push_gap(&mut pieces, at, held.offset());
        let content = Some(content_of(&index.segments.holder(entry.slot).segment, &entry));
        pieces.push(Piece { extent: held, content });
        at = held.end();
    }
    push_gap(&mut pieces, at, extent.end());
    pieces
}

fn push_gap(pieces: &mut Vec<Piece>, from: u64, to: u64) {
    if from < to {
        pieces.push(Piece { extent: Extent::between(from, to), content: None });
    }
}

pub(crate) fn content_of(segment: &Segment, entry: &Entry) -> Content {
    match entry.holds() {
        Holds::Data => Content::Data(segment.file.view(entry.payload(), entry.length())),
        Holds::Zeroes => Content::Zeroes,
        Holds::Trimmed => Content::Trimmed,
    }
}

/// Checks the record that an extent comes from.
fn check_record(segment: &Segment, entry: &Entry) -> Result<(), JournalError> {
    let position = entry.record();
    match segment.record_at(position) {
        Some(record) if record.sequence == entry.sequence => {
            checked_payload(segment, &record, position).map(drop)
        }
        _ => Err(corrupt(segment, position, entry.sequence)),
    }
}
