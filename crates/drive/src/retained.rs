//! Retained writes: changes that were acknowledged but that no sync of the medium covers yet.
//!
//! An operating system keeps acknowledged writes in memory and may find out only at the next sync that the device
//! is gone; then they are lost, and a second sync reports success. So the bytes are kept here until a sync that began
//! after the change was done succeeds. When the medium is lost they go to the journal, in order.
//!
//! Payloads are copied into chunks that are filled one after the other and used again once released: a steady load
//! touches the same warm memory and allocates nothing. Sequences are in the order in which changes
//! completed; releasing and spilling both go from the front. What is kept is bounded, with an allowance for each
//! entry, so that many small changes are bounded as well.

use std::collections::VecDeque;

use bytes::Bytes;
use hotbay_block::{Extent, Request};
use hotbay_journal::Change;
use tokio::time::Instant;

/// The bytes of a chunk. One that is lost to the allocator is given back to the system.
const CHUNK_BYTES: usize = 1 << 20;

/// What an entry counts for beyond its payload: its own memory and its record in the journal.
pub(crate) const ENTRY_BYTES: u64 = 128;

/// A point in the order of completed changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    place: u64,
    taken: Instant,
}

#[derive(Debug)]
enum Kept {
    Data { chunk: u64, start: usize },
    Zeroes,
    Trim,
}

#[derive(Debug)]
struct Entry {
    extent: Extent,
    kept: Kept,
}

/// A change that is let go of: it is on the platter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Released<'a> {
    pub(crate) extent: Extent,
    pub(crate) content: ReleasedContent<'a>,
    /// How many more are let go of after it.
    pub(crate) followed_by: u64,
}

/// What a change that is let go of has brought.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReleasedContent<'a> {
    Data(&'a [u8]),
    Zeroes,
    Trimmed,
}

impl Entry {
    fn cost_bytes(&self) -> u64 {
        match self.kept {
            Kept::Data { .. } => ENTRY_BYTES + self.extent.length(),
            Kept::Zeroes | Kept::Trim => ENTRY_BYTES,
        }
    }
}

/// The changes kept for one attachment, oldest first.
#[derive(Debug, Default)]
pub(crate) struct RetainedWrites {
    entries: VecDeque<Entry>,
    first_entry: u64,
    chunks: VecDeque<Vec<u8>>,
    first_chunk: u64,
    spare: Vec<Vec<u8>>,
    cost_bytes: u64,
    limit_bytes: u64,
    /// No entry is older than this; the oldest may be younger. So the clock is read for the first entry and for each sync,
    /// not for each change.
    since: Option<Instant>,
}

impl RetainedWrites {
    /// Keeps at most `limit_bytes`, allowances included.
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, ..Self::default() }
    }

    /// Keeps at most so much from now on; what is kept stays kept.
    pub(crate) fn set_limit(&mut self, limit_bytes: u64) {
        self.limit_bytes = limit_bytes;
    }

    /// The bytes kept, allowances included.
    pub(crate) fn bytes(&self) -> u64 {
        self.cost_bytes
    }

    /// Since when something is kept; nothing that is kept is older.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Whether so much is kept that a sync should come soon.
    pub(crate) fn is_half_full(&self) -> bool {
        self.cost_bytes * 2 >= self.limit_bytes
    }

    /// Keeps a change that is done on the medium. False where there is no room: then only a sync that begins
    /// after this covers it.
    #[must_use]
    pub(crate) fn keep(&mut self, change: &Request) -> bool {
        let cost = ENTRY_BYTES
            + match change {
                Request::Write { extent, .. } => {
                    extent.length() + ENTRY_BYTES * (extent.length() / CHUNK_BYTES as u64 + 1)
                }
                _ => 0,
            };
        if self.cost_bytes + cost > self.limit_bytes {
            return false;
        }
        match change {
            Request::Write { extent, data, .. } => self.keep_data(*extent, data),
            Request::Zero { extent, .. } => self.push(*extent, Kept::Zeroes),
            Request::Trim { extent, .. } => self.push(*extent, Kept::Trim),
            Request::Read { .. } | Request::Cache { .. } | Request::Flush => {}
        }
        true
    }

    fn keep_data(&mut self, extent: Extent, data: &[u8]) {
        let (mut offset, mut rest) = (extent.offset(), data);
        while !rest.is_empty() {
            let (number, chunk) = self.chunk_with_room();
            let (now, later) = rest.split_at(rest.len().min(CHUNK_BYTES - chunk.len()));
            let start = chunk.len();
            chunk.extend_from_slice(now);
            let piece = Extent::between(offset, offset + now.len() as u64);
            self.push(piece, Kept::Data { chunk: number, start });
            (offset, rest) = (piece.end(), later);
        }
    }

    fn chunk_with_room(&mut self) -> (u64, &mut Vec<u8>) {
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK_BYTES) {
            let fresh = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES));
            self.chunks.push_back(fresh);
        }
        let number = self.first_chunk + self.chunks.len() as u64 - 1;
        (number, self.chunks.back_mut().expect("one was just made sure of"))
    }

    fn push(&mut self, extent: Extent, kept: Kept) {
        let entry = Entry { extent, kept };
        self.since.get_or_insert_with(Instant::now);
        self.cost_bytes += entry.cost_bytes();
        self.entries.push_back(entry);
    }

    /// The point after all that is kept now. A sync that begins after this covers what is before it.
    pub(crate) fn mark(&self) -> Mark {
        Mark { place: self.first_entry + self.entries.len() as u64, taken: Instant::now() }
    }

    /// Lets go of what is before `mark`: a sync that began after the mark was taken has succeeded. Each change is shown
    /// to `observe` before, oldest first.
    pub(crate) fn release(&mut self, mark: Mark, mut observe: impl FnMut(Released<'_>)) {
        while self.first_entry < mark.place
            && let Some(entry) = self.entries.pop_front()
        {
            self.cost_bytes -= entry.cost_bytes();
            self.first_entry += 1;
            if let Kept::Data { chunk, .. } = entry.kept {
                self.retire_chunks_before(chunk);
            }
            let followed_by = mark.place - self.first_entry;
            observe(Released {
                extent: entry.extent,
                content: self.content_of(&entry),
                followed_by,
            });
        }
        // What is left was completed after the mark.
        self.since = (!self.entries.is_empty()).then_some(mark.taken);
        if self.entries.is_empty() {
            self.retire_chunks_before(self.first_chunk + self.chunks.len() as u64);
        }
    }

    fn content_of(&self, entry: &Entry) -> ReleasedContent<'_> {
        match entry.kept {
            Kept::Data { chunk, start } => {
                let index = usize::try_from(chunk - self.first_chunk).expect("a chunk's place");
                ReleasedContent::Data(
                    &self.chunks[index][start..start + entry.extent.len_in_memory()],
                )
            }
            Kept::Zeroes => ReleasedContent::Zeroes,
            Kept::Trim => ReleasedContent::Trimmed,
        }
    }

    fn retire_chunks_before(&mut self, number: u64) {
        while self.first_chunk < number
            && let Some(mut chunk) = self.chunks.pop_front()
        {
            chunk.clear();
            self.spare.push(chunk);
            self.first_chunk += 1;
        }
    }

    /// The memory that is not in use, for whoever drops it where nobody waits.
    pub(crate) fn take_spare(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.spare)
    }

    /// Gives unused memory back to the system; for when nothing has been written for a while.
    pub(crate) fn give_back_spare_memory(&mut self) {
        self.spare = Vec::new();
    }

    /// How many changes are kept.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// Whether a kept change touches the extent.
    pub(crate) fn touches(&self, extent: Extent) -> bool {
        self.entries.iter().any(|entry| entry.extent.overlaps(extent))
    }

    /// All that is kept, oldest first, for the journal.
    pub(crate) fn into_changes(self) -> Vec<Change> {
        let chunks: Vec<Bytes> = self.chunks.into_iter().map(Bytes::from).collect();
        let payload = |chunk: u64, start: usize, extent: Extent| {
            let index = usize::try_from(chunk - self.first_chunk).expect("a chunk's place");
            chunks[index].slice(start..start + extent.len_in_memory())
        };
        self.entries
            .iter()
            .map(|Entry { extent, kept }| match *kept {
                Kept::Data { chunk, start } => {
                    Change::Write { offset: extent.offset(), data: payload(chunk, start, *extent) }
                }
                Kept::Zeroes => Change::Zeroes(*extent),
                Kept::Trim => Change::Trim(*extent),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hotbay_block::Durability;

    use super::*;

    fn write(offset: u64, fill: u8, length: usize) -> Request {
        Request::Write {
            extent: Extent::new(offset, length as u64).unwrap(),
            data: Bytes::from(vec![fill; length]),
            durability: Durability::Deferred,
        }
    }

    fn written(changes: &[Change]) -> Vec<(u64, u8, usize)> {
        let data = |change: &Change| match change {
            Change::Write { offset, data } => (*offset, data[0], data.len()),
            other => panic!("{other:?}"),
        };
        changes.iter().map(data).collect()
    }

    #[test]
    fn what_completed_after_the_mark_survives_the_release() {
        let mut retained = RetainedWrites::new(1 << 20);
        assert!(retained.keep(&write(0, 1, 512)));
        let mark = retained.mark();
        assert!(retained.keep(&write(0, 2, 512)));
        retained.release(mark, |_| ());
        assert_eq!(written(&retained.into_changes()), [(0, 2, 512)]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_older_than_it_says() {
        let second = Duration::from_secs(1);
        let mut retained = RetainedWrites::new(1 << 20);
        assert_eq!(retained.since(), None);
        tokio::time::advance(second).await;
        let first = Instant::now();
        assert!(retained.keep(&write(0, 1, 512)));
        tokio::time::advance(second).await;
        let mark = retained.mark();
        let marked = Instant::now();
        tokio::time::advance(second).await;
        assert!(retained.keep(&write(0, 2, 512)));
        assert_eq!(retained.since(), Some(first));
        retained.release(mark, |_| ());
        assert_eq!(retained.since(), Some(marked));
        let mark = retained.mark();
        retained.release(mark, |_| ());
        assert_eq!(retained.since(), None);
    }

    #[test]
    fn a_payload_longer_than_a_chunk_comes_out_whole_and_in_order() {
        let mut retained = RetainedWrites::new(16 << 20);
        assert!(retained.keep(&write(0, 1, 100)));
        let long: Vec<u8> = (0..3 * CHUNK_BYTES + 5).map(|i| (i % 251) as u8).collect();
        let extent = Extent::new(7, long.len() as u64).unwrap();
        let request = Request::Write {
            extent,
            data: Bytes::from(long.clone()),
            durability: Durability::Deferred,
        };
        assert!(retained.keep(&request));
        let mut out = vec![0; long.len()];
        for change in &retained.into_changes()[1..] {
            let Change::Write { offset, data } = change else { panic!("{change:?}") };
            let at = usize::try_from(offset - 7).unwrap();
            out[at..at + data.len()].copy_from_slice(data);
        }
        assert!(out == long);
    }

    #[test]
    fn the_bound_holds_and_small_changes_count_too() {
        let mut retained = RetainedWrites::new(1 << 20);
        let mut kept = 0;
        while retained.keep(&write(kept, 1, 1)) {
            kept += 1;
        }
        assert!(retained.bytes() <= 1 << 20);
        assert!(kept < 9_000, "{kept} one-byte changes");
        assert!(retained.is_half_full());
        let mark = retained.mark();
        retained.release(mark, |_| ());
        assert_eq!(retained.bytes(), 0);
        assert!(retained.keep(&write(0, 1, 4096)));
    }

    #[test]
    fn a_steady_load_uses_the_same_memory() {
        let mut retained = RetainedWrites::new(8 << 20);
        for round in 0..100 {
            for i in 0..300 {
                assert!(retained.keep(&write(i * 4096, round, 4096)));
            }
            let mark = retained.mark();
            retained.release(mark, |_| ());
        }
        assert!(retained.spare.len() + retained.chunks.len() <= 3);
    }
}
