//! The backlog: what was retained when a medium went, on its way into the journal while clients go on.
//!
//! It is laid out as pieces that do not overlap, the newest content in each, in ascending order. So pieces may enter the
//! journal in any order among themselves. Three things must hold until all are in:
//!
//! * A piece is in the journal before any newer change on its extent, or is covered whole by that change and not needed any
//!   more. Whoever appends holds the journal's turn, so that nothing comes in between.
//! * A read looks here first and into the journal second. A piece leaves only when the journal has it, or what is newer,
//!   so no read finds neither.
//! * A flush waits until all are in: they were acknowledged before it came.
//!
//! The pieces are slices of the memory in which the changes were retained; it is let go with the last of them.

use std::collections::BinaryHeap;

use hotbay_block::Extent;
use hotbay_journal::{Change, Content, Piece};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::retained::ENTRY_BYTES;

/// What is acknowledged but on its way into the journal still.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    left: Mutex<Pieces>,
    /// Told when nothing is left.
    all_in: Notify,
}

/// Changes that do not overlap, in ascending order.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    places: Vec<Place>,
    /// All places before this one are empty.
    first: usize,
    left: usize,
    cost_bytes: u64,
}

#[derive(Debug)]
struct Place {
    extent: Extent,
    /// `None` once it is in.
    change: Option<Change>,
}

impl Backlog {
    /// Takes over what a medium has left behind, before any change can be made that is newer.
    pub(crate) fn install(&self, pieces: Pieces) {
        let mut left = self.left.lock();
        debug_assert_eq!(left.left, 0, "a medium is put in only when there is no backlog");
        *left = pieces;
    }

    /// Whether all is in the journal.
    pub(crate) fn is_empty(&self) -> bool {
        self.left.lock().left == 0
    }

    /// The bytes that are left, allowances for entries included.
    pub(crate) fn bytes(&self) -> u64 {
        self.left.lock().cost_bytes
    }

    /// Waits until all is in the journal, or nobody will bring it there any more.
    pub(crate) async fn all_in(&self) {
        let mut all_in = std::pin::pin!(self.all_in.notified());
        all_in.as_mut().enable();
        if !self.is_empty() {
            all_in.await;
        }
    }

    /// The next pieces in ascending order, at most so many bytes of them, but at least one if any is left.
    pub(crate) fn batch(&self, max_bytes: u64) -> Vec<Change> {
        let mut left = self.left.lock();
        let empty = left.places[left.first..].iter().take_while(|place| place.change.is_none());
        left.first += empty.count();
        let mut bytes = 0;
        let changes = left.places[left.first..].iter().filter_map(|place| place.change.as_ref());
        changes
            .take_while(|change| {
                let is_first = bytes == 0;
                bytes += cost_bytes(change);
                is_first || bytes <= max_bytes
            })
            .cloned()
            .collect()
    }

    /// The pieces that some of the changes would cut. What a change covers whole need not be in the journal before it.
    pub(crate) fn cut_by(&self, changes: &[Change]) -> Vec<Change> {
        let left = self.left.lock();
        let cut = |extent: Extent| {
            let pieces = left.overlapping(extent).filter(move |at| !extent.contains(at.extent));
            pieces.filter_map(|place| place.change.clone())
        };
        changes.iter().flat_map(|change| cut(change.extent())).collect()
    }

    /// Lets go of every piece that one of the changes overlaps: the journal has it, or what covers it.
    pub(crate) fn are_in(&self, changes: &[Change]) {
        let mut left = self.left.lock();
        changes.iter().for_each(|change| left.take_out(change.extent()));
        if left.left == 0 && !left.places.is_empty() {
            *left = Pieces::default();
            drop(left);
            self.all_in.notify_waiters();
        }
    }

    /// Gives it up; for when the journal has failed.
    pub(crate) fn give_up(&self) {
        *self.left.lock() = Pieces::default();
        self.all_in.notify_waiters();
    }

    /// The extent in pieces, with what is known of each.
    pub(crate) fn pieces(&self, extent: Extent) -> Vec<Piece> {
        self.first_pieces(extent, usize::MAX)
    }

    /// The first of them, as many as `most`, or one more.
    pub(crate) fn first_pieces(&self, extent: Extent, most: usize) -> Vec<Piece> {
        let left = self.left.lock();
        let (mut pieces, mut at) = (Vec::new(), extent.offset());
        for place in left.overlapping(extent) {
            let (Some(change), Some(part)) = (&place.change, place.extent.intersection(extent))
            else {
                continue;
            };
            if pieces.len() >= most {
                return pieces;
            }
            if at < part.offset() {
                pieces.push(Piece { extent: Extent::between(at, part.offset()), content: None });
            }
            let content = Some(content_of(&part_of(change, part)));
            pieces.push(Piece { extent: part, content });
            at = part.end();
        }
        if at < extent.end() {
            pieces.push(Piece { extent: Extent::between(at, extent.end()), content: None });
        }
        pieces
    }
}

impl Pieces {
    /// Lays out changes that came in this order.
    ///
    /// A sweep over the volume: at each place the newest of the changes that have begun and not ended gives the content.
    pub(crate) fn lay_out(changes: &[Change]) -> Self {
        let mut starts: Vec<(u64, usize)> =
            (0..).zip(changes).map(|(age, change)| (change.extent().offset(), age)).collect();
        starts.sort_unstable();
        let mut coming = starts.into_iter().peekable();
        let (mut open, mut at) = (BinaryHeap::new(), 0);
        let mut pieces = Self::default();
        loop {
            let Some(&newest) = open.peek() else {
                let Some((start, age)) = coming.next() else { break };
                at = start;
                open.push(age);
                continue;
            };
            let end = changes[newest].extent().end();
            if end <= at {
                open.pop();
            } else if let Some((start, age)) = coming.next_if(|(start, _)| *start < end) {
                if age > newest {
                    pieces.push(&changes[newest], at, start);
                    at = start;
                }
                open.push(age);
            } else {
                pieces.push(&changes[newest], at, end);
                at = end;
            }
        }
        pieces
    }

    fn push(&mut self, change: &Change, start: u64, end: u64) {
        if start < end {
            let extent = Extent::between(start, end);
            let change = part_of(change, extent);
            self.cost_bytes += cost_bytes(&change);
            self.left += 1;
            self.places.push(Place { extent, change: Some(change) });
        }
    }

    /// The places that overlap the extent, in ascending order.
    fn overlapping(&self, extent: Extent) -> impl Iterator<Item = &Place> {
        let from = self.first_behind(extent.offset());
        self.places[from..].iter().take_while(move |place| place.extent.offset() < extent.end())
    }

    fn first_behind(&self, offset: u64) -> usize {
        self.places.partition_point(|place| place.extent.end() <= offset)
    }

    fn take_out(&mut self, extent: Extent) {
        let from = self.first_behind(extent.offset());
        for place in &mut self.places[from..] {
            if place.extent.offset() >= extent.end() {
                break;
            }
            if let Some(change) = place.change.take() {
                self.cost_bytes -= cost_bytes(&change);
                self.left -= 1;
            }
        }
    }
}

/// What a change counts for where room is planned.
pub(crate) fn cost_bytes(change: &Change) -> u64 {
    match change {
        Change::Write { data, .. } => ENTRY_BYTES + data.len() as u64,
        Change::Zeroes(_) | Change::Trim(_) => ENTRY_BYTES,
    }
}

/// The part of a change that lies in an extent, all of which it covers.
fn part_of(change: &Change, part: Extent) -> Change {
    match change {
        Change::Write { data, .. } => {
            let data = data.slice(change.extent().range_of(part));
            Change::Write { offset: part.offset(), data }
        }
        Change::Zeroes(_) => Change::Zeroes(part),
        Change::Trim(_) => Change::Trim(part),
    }
}

fn content_of(change: &Change) -> Content {
    match change {
        Change::Write { data, .. } => Content::Data(data.clone()),
        Change::Zeroes(_) => Content::Zeroes,
        Change::Trim(_) => Content::Trimmed,
    }
}

#[cfg(test)]
mod tests;
