//! What a disk holds: the platter, and over it what the system caches.
//!
//! As in Linux: a change goes to the cache; a flush brings what was dirty when it began to the platter; one that fails marks
//! it clean all the same. What lies between may or may not reach the platter at any time, sector by sector.

use std::collections::BTreeSet;

use hotbay_block::{Extent, Request};

const SECTOR: usize = 512;

/// Cloning it keeps a moment of it.
#[derive(Clone, Debug)]
pub struct Platter {
    durable: Vec<u8>,
    cached: Vec<u8>,
    dirty: BTreeSet<usize>,
    /// What flushes under way bring to the platter, oldest first.
    writing: Vec<Flush>,
    flushes: u64,
}

#[derive(Clone, Debug)]
struct Flush {
    number: u64,
    sectors: Vec<(usize, Vec<u8>)>,
}

impl Platter {
    pub fn filled(size_bytes: usize, byte: u8) -> Self {
        let durable = vec![byte; size_bytes];
        let cached = durable.clone();
        Self { durable, cached, dirty: BTreeSet::new(), writing: Vec::new(), flushes: 0 }
    }

    /// One that holds this, and nothing that is not synced.
    pub fn holding(content: Vec<u8>) -> Self {
        Self { durable: content.clone(), cached: content, ..Self::filled(0, 0) }
    }

    /// Whether it holds this, and nobody has begun to change it.
    pub fn is_just(&self, content: &[u8]) -> bool {
        self.durable == content && self.cached == content
    }

    pub fn durable(&self) -> &[u8] {
        &self.durable
    }

    pub fn len(&self) -> usize {
        self.durable.len()
    }

    pub fn read(&self, extent: Extent) -> Vec<u8> {
        self.cached[range(extent)].to_vec()
    }

    /// Carries out those sectors of a change that `keep` chooses.
    pub fn change(&mut self, change: &Request, keep: &mut dyn FnMut() -> bool) {
        let all = range(change.extent().unwrap());
        assert!(all.start.is_multiple_of(SECTOR) && all.len().is_multiple_of(SECTOR));
        for at in all.clone().step_by(SECTOR) {
            if !keep() {
                continue;
            }
            let sector = &mut self.cached[at..at + SECTOR];
            match change {
                Request::Write { data, .. } => {
                    sector.copy_from_slice(&data[at - all.start..at - all.start + SECTOR]);
                }
                _ => sector.fill(0),
            }
            self.dirty.insert(at);
        }
    }

    /// Writes back one dirty sector, as the system does now and then without being asked.
    pub fn write_back(&mut self, choice: u64) {
        if self.dirty.is_empty() {
            return;
        }
        let nth = usize::try_from(choice % self.dirty.len() as u64).unwrap();
        let at = *self.dirty.iter().nth(nth).unwrap();
        // One that is being written is not written out of turn.
        if self.writing.iter().all(|flush| flush.sectors.iter().all(|(other, _)| *other != at)) {
            self.dirty.remove(&at);
            self.durable[at..at + SECTOR].copy_from_slice(&self.cached[at..at + SECTOR]);
        }
    }

    /// A flush begins; gives its number.
    pub fn begin_flush(&mut self) -> u64 {
        let dirty = std::mem::take(&mut self.dirty).into_iter();
        let sectors = dirty.map(|at| (at, self.cached[at..at + SECTOR].to_vec())).collect();
        self.flushes += 1;
        self.writing.push(Flush { number: self.flushes, sectors });
        self.flushes
    }

    /// A flush succeeds, and those before it with it.
    pub fn end_flush(&mut self, number: u64) {
        self.end_flushes(number, &mut || true);
    }

    /// A flush fails: what it was to write is marked clean, and was written only where `keep` says so.
    pub fn fail_flush(&mut self, number: u64, keep: &mut dyn FnMut() -> bool) {
        self.end_flushes(number, keep);
    }

    fn end_flushes(&mut self, up_to: u64, keep: &mut dyn FnMut() -> bool) {
        let over = self.writing.iter().take_while(|flush| flush.number <= up_to).count();
        for flush in self.writing.drain(..over) {
            for (at, bytes) in flush.sectors {
                if keep() {
                    self.durable[at..at + SECTOR].copy_from_slice(&bytes);
                }
            }
        }
    }

    /// Whether the cache passes something for clean that the platter does not have, as it does after a flush has failed.
    pub fn lies(&self) -> bool {
        let is_coming = |at| self.writing.iter().any(|f| f.sectors.iter().any(|(o, _)| *o == at));
        let all = (0..self.durable.len()).step_by(SECTOR);
        let differs = |at: usize| self.durable[at..at + SECTOR] != self.cached[at..at + SECTOR];
        all.filter(|at| !self.dirty.contains(at) && !is_coming(*at)).any(differs)
    }

    /// The cache is gone; of what was not synced the platter has what `keep` chooses.
    pub fn lose_cache(&mut self, keep: &mut dyn FnMut() -> bool) {
        self.end_flushes(self.flushes, keep);
        for at in std::mem::take(&mut self.dirty) {
            if keep() {
                self.durable[at..at + SECTOR].copy_from_slice(&self.cached[at..at + SECTOR]);
            }
        }
        self.cached.copy_from_slice(&self.durable);
    }
}

fn range(extent: Extent) -> std::ops::Range<usize> {
    usize::try_from(extent.offset()).unwrap()..usize::try_from(extent.end()).unwrap()
}
