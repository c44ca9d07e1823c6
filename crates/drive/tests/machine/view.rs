//! What a client sees: a volume by itself, or several as parts of one disk. A request to a disk is entered in the ledger of
//! each volume that it touches, and judged by all of them.

use std::sync::Arc;

use bytes::Bytes;
use hotbay_block::Extent;
use parking_lot::Mutex;

use super::PLACE_BYTES;
use super::chance::Chance;
use super::ledger::{Begun, Ledger, payload};

/// Cloning it is another client's.
#[derive(Clone, Debug)]
pub struct View {
    /// In the order in which they lie on the disk, at least one.
    parts: Vec<Part>,
}

/// A volume and where it lies.
#[derive(Clone, Debug)]
struct Part {
    extent: Extent,
    ledger: Arc<Mutex<Ledger>>,
}

/// What has begun, in each of the ledgers.
#[derive(Debug)]
pub struct Change(Vec<(Arc<Mutex<Ledger>>, Begun)>);

/// When a flush or a read began, by the time of each ledger.
#[derive(Debug)]
pub struct Times(Vec<u64>);

impl View {
    /// Of a volume by itself.
    pub fn alone(ledger: &Arc<Mutex<Ledger>>) -> Self {
        Self::joined([(0, ledger)])
    }

    /// Of a disk on which volumes begin at these offsets.
    pub fn joined<'a>(parts: impl IntoIterator<Item = (u64, &'a Arc<Mutex<Ledger>>)>) -> Self {
        let part = |(offset, ledger): (u64, &Arc<Mutex<Ledger>>)| {
            let extent = Extent::new(offset, ledger.lock().places() * PLACE_BYTES).unwrap();
            Part { extent, ledger: Arc::clone(ledger) }
        };
        Self { parts: parts.into_iter().map(part).collect() }
    }

    /// An extent in one of the volumes, or across the end of one of several.
    pub fn extent(&self, chance: &mut Chance, longest: u64) -> Extent {
        if let [alone] = &self.parts[..] {
            return within(alone.extent, chance, longest);
        }
        let nth = chance.place_below(self.parts.len());
        let part = self.parts[nth].extent;
        let has_seam = self.has_gaps() || nth + 1 < self.parts.len();
        match chance.one_in(3) && has_seam {
            true => self.across(part.end(), chance, longest),
            false => within(part, chance, longest),
        }
    }

    fn across(&self, seam: u64, chance: &mut Chance, longest: u64) -> Extent {
        let (before, behind) = (1 + chance.below(longest), 1 + chance.below(longest));
        let (first, last) = (self.parts[0].extent, self.parts[self.parts.len() - 1].extent);
        let most = if self.has_gaps() { u64::MAX } else { last.end() };
        let from = seam.saturating_sub(before * PLACE_BYTES).max(first.offset());
        Extent::between(from, (seam + behind * PLACE_BYTES).min(most))
    }

    /// Whether something lies behind each volume that is no volume.
    fn has_gaps(&self) -> bool {
        self.parts.windows(2).any(|pair| pair[0].extent.end() < pair[1].extent.offset())
    }

    /// Whether all of it lies in volumes.
    pub fn is_of_volumes(&self, extent: Extent) -> bool {
        self.touched(extent).map(|(_, inner)| inner.length()).sum::<u64>() == extent.length()
    }

    /// The parts that it touches, and what of each.
    fn touched(&self, extent: Extent) -> impl Iterator<Item = (&Part, Extent)> {
        self.parts.iter().filter_map(move |part| Some((part, part.extent.intersection(extent)?)))
    }

    /// A write of an extent of volumes alone, and its bytes.
    pub fn begin_write(&self, extent: Extent) -> (Change, Bytes) {
        let change = self.begin(extent, Ledger::begin_write);
        let bytes: Vec<u8> = change.0.iter().flat_map(|(_, begun)| payload(*begun)).collect();
        (change, bytes.into())
    }

    /// Zeroes, or a trim.
    pub fn begin_zeroes(&self, extent: Extent) -> Change {
        self.begin(extent, Ledger::begin_zeroes)
    }

    fn begin(&self, extent: Extent, begin: impl Fn(&mut Ledger, Extent) -> Begun) -> Change {
        let begun = self.touched(extent).map(|(part, inner)| {
            let inner = inner.moved_to(inner.offset() - part.extent.offset());
            (Arc::clone(&part.ledger), begin(&mut part.ledger.lock(), inner))
        });
        Change(begun.collect())
    }

    /// Bytes for all of it that no volume may hold at any time.
    pub fn foreign(&self, extent: Extent) -> Bytes {
        let places = extent.offset() / PLACE_BYTES..extent.end() / PLACE_BYTES;
        let mut ledger = self.parts[0].ledger.lock();
        places.flat_map(|place| ledger.foreign(place)).collect::<Vec<u8>>().into()
    }

    pub fn begin_flush(&self) -> Times {
        Times(self.ledgers().map(|ledger| ledger.lock().begin_flush()).collect())
    }

    pub fn end_flush(&self, begun: &Times) {
        self.ledgers().zip(&begun.0).for_each(|(ledger, begun)| ledger.lock().end_flush(*begun));
    }

    pub fn begin_read(&self) -> Times {
        Times(self.ledgers().map(|ledger| ledger.lock().begin_read()).collect())
    }

    pub fn give_up_read(&self, begun: &Times) {
        self.ledgers().zip(&begun.0).for_each(|(ledger, begun)| ledger.lock().give_up_read(*begun));
    }

    /// A read was answered with these bytes: what lies in volumes is theirs, all else is zeroes.
    pub fn end_read(&self, begun: &Times, extent: Extent, bytes: &[u8]) -> Result<(), String> {
        if bytes.len() as u64 != extent.length() {
            return Err(format!("a read of {extent} was answered with {} bytes", bytes.len()));
        }
        let mut end = extent.offset();
        for (number, (part, begun)) in self.parts.iter().zip(&begun.0).enumerate() {
            let Some(inner) = part.extent.intersection(extent) else {
                part.ledger.lock().give_up_read(*begun);
                continue;
            };
            are_zeroes(bytes, extent, Extent::between(end, inner.offset()))?;
            end = inner.end();
            let moved = inner.moved_to(inner.offset() - part.extent.offset());
            let read = part.ledger.lock().end_read(*begun, moved, &bytes[extent.range_of(inner)]);
            read.map_err(|wrong| format!("volume {number} of {extent}: {wrong}"))?;
        }
        are_zeroes(bytes, extent, Extent::between(end, extent.end()))
    }

    fn ledgers(&self) -> impl Iterator<Item = &Mutex<Ledger>> {
        self.parts.iter().map(|part| &*part.ledger)
    }
}

impl Change {
    /// It was answered; where that was a success, and `stable`, it is flushed, too.
    pub fn end(self, acknowledged: bool, stable: bool) {
        for (ledger, begun) in self.0 {
            ledger.lock().end_change(begun, acknowledged, stable);
        }
    }
}

fn within(part: Extent, chance: &mut Chance, longest: u64) -> Extent {
    let places = part.length() / PLACE_BYTES;
    let length = 1 + chance.below(longest.min(places));
    let from = chance.below(places - length + 1);
    Extent::new(part.offset() + from * PLACE_BYTES, length * PLACE_BYTES).unwrap()
}

fn are_zeroes(bytes: &[u8], extent: Extent, gap: Extent) -> Result<(), String> {
    match bytes[extent.range_of(gap)].iter().all(|&byte| byte == 0) {
        true => Ok(()),
        false => Err(format!("{gap} between volumes reads as something else than zeroes")),
    }
}
