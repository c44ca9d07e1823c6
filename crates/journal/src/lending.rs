//! Long reads whose data goes out by reference, in a pipe.
//!
//! What a journal holds is not changed where it lies, and the pages in a pipe outlive the file that they are of. So what is lent stays what
//! was read, whatever becomes of the journal meanwhile.

use std::sync::Arc;

use bytes::Buf;
use hotbay_block::{Extent, Lent, Pipe};

use crate::format::{narrow, wide};
use crate::index::{Entry, Holds, Index};
use crate::read::pieces_in;
use crate::segment::Segment;
use crate::{Content, Journal, Piece};

/// Lending begins with data of at least so many bytes; less is copied sooner.
const LENT_BYTES_LEAST: u64 = 32 << 10;

/// The most places that are put into one pipe: a call of the system each.
const PLACES_MAX: usize = 16;

/// What a journal holds for an extent, some of it lent or nothing.
#[derive(Debug)]
pub struct PartlyLent {
    /// The pieces before what is lent, or all of them.
    pub before: Vec<Piece>,
    /// Data. Only where the journal holds the whole extent.
    pub lent: Option<Lent>,
    /// The pieces after it.
    pub after: Vec<Piece>,
}

impl PartlyLent {
    /// Nothing of them is.
    #[must_use]
    pub const fn nothing_of(pieces: Vec<Piece>) -> Self {
        Self { before: pieces, lent: None, after: Vec::new() }
    }
}

/// Where data lies.
struct Place {
    segment: Arc<Segment>,
    position: u64,
    length: u64,
}

impl Journal {
    /// As [`Self::pieces`], with data put into the pipe: from the first that is long to the end of the room, to zeroes or to the sixteenth
    /// piece. Where there is none, or the journal does not hold all of the extent, nothing is lent and the pipe is left. May wait for what
    /// is not in memory.
    #[must_use]
    pub fn lend(&self, extent: Extent, pipe: &mut Option<Pipe>) -> PartlyLent {
        let (mut pieces, first, places) = {
            let index = self.index.read();
            let pieces = pieces_in(&index, extent, usize::MAX);
            let is_held = pieces.iter().all(|piece| piece.content.is_some());
            let Some(first) = pieces.iter().position(is_long_data).filter(|_| is_held) else {
                return PartlyLent::nothing_of(pieces);
            };
            let places = places_in(&index, extent, first);
            (pieces, first, places)
        };
        let Some(lent) = fill(pipe, &places) else {
            return PartlyLent::nothing_of(pieces);
        };
        let mut after = pieces.split_off(first);
        cut_front(&mut after, wide(lent.len()));
        PartlyLent { before: pieces, lent: Some(lent), after }
    }
}

fn is_long_data(piece: &Piece) -> bool {
    matches!(piece.content, Some(Content::Data(_))) && piece.extent.length() >= LENT_BYTES_LEAST
}

/// Where the data lies of an extent that is held in full, from a piece on and up to one without data.
fn places_in(index: &Index, extent: Extent, first: usize) -> Vec<Place> {
    let data = index.overlapping(extent).skip(first).take(PLACES_MAX);
    let place = |entry: Entry| Place {
        segment: Arc::clone(&index.segments.holder(entry.slot).segment),
        position: entry.payload(),
        length: entry.length(),
    };
    data.map_while(|(_, entry)| (entry.holds() == Holds::Data).then(|| place(entry))).collect()
}

/// Fills a pipe as far as there is room; `None` where nothing could be put in.
fn fill(pipe: &mut Option<Pipe>, places: &[Place]) -> Option<Lent> {
    let (mut bytes, room) = (0, pipe.as_ref()?);
    for Place { segment, position, length } in places {
        let length = narrow(*length);
        let lent = segment.file.lend(*position, length, room);
        bytes += lent;
        if lent < length {
            break;
        }
    }
    pipe.take_if(|_| bytes > 0).map(|pipe| pipe.filled(bytes))
}

/// Takes so many bytes of data from the front.
fn cut_front(pieces: &mut Vec<Piece>, mut bytes: u64) {
    let whole = pieces.iter().take_while(|piece| {
        let length = piece.extent.length();
        let is_whole = length <= bytes;
        bytes -= if is_whole { length } else { 0 };
        is_whole
    });
    let whole = whole.count();
    pieces.drain(..whole);
    if let Some(Piece { extent, content: Some(Content::Data(data)) }) = pieces.first_mut() {
        *extent = Extent::between(extent.offset() + bytes, extent.end());
        data.advance(narrow(bytes));
    }
}
