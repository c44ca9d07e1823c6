//! What clients were told, and so what each place of a volume may hold.
//!
//! Each change is a version of the places that it covers. An acknowledged version replaces those that had ended before it
//! began: for who reads now, at once; for who reads after a loss of power, when a flush that began after its
//! acknowledgement was acknowledged. Versions that were under way together may each be the last; whichever is read while
//! nothing else is under way is the one from then on.

use std::collections::BTreeMap;

use hotbay_block::Extent;

use super::PLACE_BYTES;

/// What a change puts into a place; 0 is zeroes. No two writes have the same.
pub type Stamp = u64;

/// What has survived an end of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survives {
    /// All that was acknowledged.
    Everything,
    /// What was flushed, and of the rest anything.
    WhatWasFlushed,
}

#[derive(Clone, Debug)]
struct Version {
    stamp: Stamp,
    begun: u64,
    ended: Option<u64>,
    /// Whether it has replaced what ended before it began also for the time after a loss of power.
    is_flushed: bool,
    acknowledged: bool,
    /// Since when another one has replaced it for who reads now.
    replaced: Option<u64>,
    /// Whether another one has replaced it after a loss of power, too.
    is_gone: bool,
}

#[derive(Clone, Debug)]
pub struct Ledger {
    /// Counts what begins and ends.
    now: u64,
    next_stamp: Stamp,
    /// The number of its first place: no two volumes have one in common.
    first: u64,
    places: Vec<Vec<Version>>,
    /// When the reads under way began, and how many began then.
    reads: BTreeMap<u64, usize>,
}

/// A change that has begun.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    pub stamp: Stamp,
    begun: u64,
    first: u64,
    from: usize,
    to: usize,
}

impl Ledger {
    /// Of one of several volumes, of zeroes.
    pub fn new(volume: usize, places: usize) -> Self {
        let zeroes = Version {
            stamp: 0,
            begun: 0,
            ended: Some(0),
            is_flushed: true,
            acknowledged: true,
            replaced: None,
            is_gone: false,
        };
        let places = vec![vec![zeroes]; places];
        let first = (volume as u64) << 16;
        Self { now: 1, next_stamp: 1, first, places, reads: BTreeMap::new() }
    }

    pub fn places(&self) -> u64 {
        self.places.len() as u64
    }

    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    pub fn begin_write(&mut self, extent: Extent) -> Begun {
        let stamp = self.next_stamp;
        self.next_stamp += 1;
        self.begin_change(extent, stamp)
    }

    pub fn begin_zeroes(&mut self, extent: Extent) -> Begun {
        self.begin_change(extent, 0)
    }

    fn begin_change(&mut self, extent: Extent, stamp: Stamp) -> Begun {
        let begun = self.tick();
        let (from, to) = (place_of(extent.offset()), place_of(extent.end()));
        for place in &mut self.places[from..to] {
            place.push(Version {
                stamp,
                begun,
                ended: None,
                is_flushed: false,
                acknowledged: false,
                replaced: None,
                is_gone: false,
            });
        }
        Begun { stamp, begun, first: self.first, from, to }
    }

    /// What no client has written into a place, and can be told from all that they have.
    pub fn foreign(&mut self, place: u64) -> Vec<u8> {
        self.next_stamp += 1;
        bytes_at(self.next_stamp - 1, self.first + place)
    }

    /// Of the places of `content` that `is_replaced` chooses, all that was written is gone for good, and this is there
    /// instead. Nothing is under way.
    pub fn is_another_content(&mut self, content: &[u8], is_replaced: impl Fn(u64) -> bool) {
        let now = self.tick();
        for (place, bytes) in (0..).zip(content.chunks(PLACE_BYTES as usize)) {
            if !is_replaced(place) {
                continue;
            }
            let stamp = (0..self.next_stamp).find(|&stamp| is_of(stamp, self.first + place, bytes));
            let stamp = stamp.expect("a medium holds what was written");
            let there = Version {
                stamp,
                begun: now,
                ended: Some(now),
                is_flushed: true,
                acknowledged: true,
                replaced: None,
                is_gone: false,
            };
            self.places[place_of(place * PLACE_BYTES)] = vec![there];
        }
    }

    /// A change was answered; where that was a success, and `stable`, it is flushed, too.
    pub fn end_change(&mut self, change: Begun, acknowledged: bool, stable: bool) {
        let now = self.tick();
        for place in &mut self.places[change.from..change.to] {
            let version = place.iter_mut().find(|version| version.begun == change.begun);
            let version = version.expect("what is under way is kept");
            (version.ended, version.acknowledged) = (Some(now), acknowledged);
            if acknowledged {
                replace(place, change.begun, now);
            }
            if acknowledged && stable {
                flushed(place, u64::MAX, Some(change.begun));
            }
        }
        self.forget_what_is_gone();
    }

    /// A flush begins; gives the time.
    pub fn begin_flush(&mut self) -> u64 {
        self.tick()
    }

    /// A flush that began then was acknowledged.
    pub fn end_flush(&mut self, begun: u64) {
        self.tick();
        self.places.iter_mut().for_each(|place| flushed(place, begun, None));
        self.forget_what_is_gone();
    }

    /// A read begins; gives the time.
    pub fn begin_read(&mut self) -> u64 {
        let now = self.tick();
        *self.reads.entry(now).or_default() += 1;
        now
    }

    /// A read was answered with an error.
    pub fn give_up_read(&mut self, begun: u64) {
        self.reads.remove(&begun);
    }

    /// A read was answered with these bytes.
    pub fn end_read(&mut self, begun: u64, extent: Extent, bytes: &[u8]) -> Result<(), String> {
        self.reads.remove(&begun);
        let now = self.tick();
        for (place, found) in (place_of(extent.offset())..).zip(bytes.chunks(PLACE_BYTES as usize))
        {
            let may_be = |version: &Version| version.replaced.is_none_or(|when| when > begun);
            let versions = &mut self.places[place];
            let number = self.first + place as u64;
            let is = |version: &Version| is_of(version.stamp, number, found);
            let matching: Vec<Stamp> = versions
                .iter()
                .filter(|version| may_be(version) && is(version))
                .map(|version| version.stamp)
                .collect();
            let Some(&stamp) = matching.first() else {
                let may_be = versions.iter().filter(|version| may_be(version));
                return Err(format!("place {place} holds {}", explain(number, found, may_be)));
            };
            // Nothing else was under way: what was read is what is there from now on.
            if versions.iter().all(|version| version.ended.is_some_and(|ended| ended < begun)) {
                for version in &mut *versions {
                    match version.stamp == stamp {
                        true => version.acknowledged = true,
                        false => _ = version.replaced.get_or_insert(now),
                    }
                }
            }
        }
        self.forget_what_is_gone();
        Ok(())
    }

    /// The daemon has ended, and with it all that was under way.
    pub fn end_of_daemon(&mut self, survives: Survives) {
        let now = self.tick();
        self.reads.clear();
        for version in self.places.iter_mut().flatten() {
            version.ended.get_or_insert(now);
            if survives == Survives::WhatWasFlushed && !version.is_gone {
                version.replaced = None;
                // It may be lost, so that a later flush says nothing about it, until it has been read.
                version.acknowledged &= version.is_flushed;
            }
        }
        self.forget_what_is_gone();
    }

    /// What was read of everything just now is on stable storage.
    pub fn is_durable_now(&mut self) {
        for version in self.places.iter_mut().flatten() {
            version.is_gone |= version.replaced.is_some();
        }
        self.forget_what_is_gone();
    }

    fn forget_what_is_gone(&mut self) {
        let oldest_read = self.reads.keys().next().copied().unwrap_or(u64::MAX);
        for place in &mut self.places {
            place.retain(|version| {
                !version.is_gone || version.replaced.is_none_or(|when| when > oldest_read)
            });
        }
    }
}

/// Marks what the version that began then replaces for who reads now.
fn replace(place: &mut [Version], begun: u64, now: u64) {
    for version in place {
        if version.ended.is_some_and(|ended| ended < begun) {
            version.replaced.get_or_insert(now);
        }
    }
}

/// Marks what is gone for good, because what was acknowledged before `flush`, or the `one` version, is flushed.
fn flushed(place: &mut [Version], flush: u64, one: Option<u64>) {
    let is_covered = |version: &Version| {
        let before = version.acknowledged && version.ended.is_some_and(|ended| ended < flush);
        !version.is_flushed && before && one.is_none_or(|begun| begun == version.begun)
    };
    let mut newest = 0;
    for version in place.iter_mut().filter(|version| is_covered(version)) {
        version.is_flushed = true;
        newest = newest.max(version.begun);
    }
    for version in place {
        version.is_gone |= version.ended.is_some_and(|ended| ended < newest);
    }
}

fn place_of(offset: u64) -> usize {
    usize::try_from(offset / PLACE_BYTES).unwrap()
}

/// The bytes of a place, by its number.
fn bytes_at(stamp: Stamp, number: u64) -> Vec<u8> {
    word_at(stamp, number).repeat(usize::try_from(PLACE_BYTES / 8).unwrap())
}

/// What they repeat.
fn word_at(stamp: Stamp, number: u64) -> [u8; 8] {
    match stamp {
        0 => [0; 8],
        _ => ((stamp << 20) | number).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes(),
    }
}

/// Whether they are these.
fn is_of(stamp: Stamp, number: u64, bytes: &[u8]) -> bool {
    let word = word_at(stamp, number);
    bytes.chunks(word.len()).all(|part| part == word)
}

/// The bytes of a change.
pub fn payload(change: Begun) -> Vec<u8> {
    let numbers = (change.from..change.to).map(|place| change.first + place as u64);
    numbers.flat_map(|number| bytes_at(change.stamp, number)).collect()
}

fn explain<'a>(number: u64, found: &[u8], may_be: impl Iterator<Item = &'a Version>) -> String {
    let stamps: Vec<Stamp> = may_be.map(|version| version.stamp).collect();
    let newest = stamps.iter().max().copied().unwrap_or(0);
    let known = (0..newest + 1000).find(|&stamp| is_of(stamp, number, found));
    let is = known.map_or_else(|| format!("{:02x?}…", &found[..8]), |stamp| stamp.to_string());
    format!("{is} and not one of {stamps:?}")
}

/// That a ledger says no where it must.
mod tests {
    use super::*;

    const PLACE: Extent = Extent::between(0, PLACE_BYTES);

    fn written(ledger: &mut Ledger) -> Begun {
        let begun = ledger.begin_write(PLACE);
        ledger.end_change(begun, true, false);
        begun
    }

    fn read(ledger: &mut Ledger, stamp: Stamp) -> Result<(), String> {
        let begun = ledger.begin_read();
        ledger.end_read(begun, PLACE, &bytes_at(stamp, 0))
    }

    #[test]
    fn what_was_replaced_may_not_be_read_again() {
        let mut ledger = Ledger::new(0, 1);
        let (old, new) = (written(&mut ledger), written(&mut ledger));
        read(&mut ledger, new.stamp).unwrap();
        assert!(read(&mut ledger, old.stamp).is_err());
        assert!(read(&mut ledger, 99).is_err(), "it was never written");
    }

    #[test]
    fn what_was_under_way_together_may_be_either_but_stays_what_was_read() {
        let mut ledger = Ledger::new(0, 1);
        let (one, other) = (ledger.begin_write(PLACE), ledger.begin_write(PLACE));
        ledger.end_change(one, true, false);
        ledger.end_change(other, true, false);
        read(&mut ledger, one.stamp).unwrap();
        assert!(read(&mut ledger, other.stamp).is_err());
    }

    #[test]
    fn a_loss_of_power_leaves_what_was_flushed_or_is_newer() {
        let mut ledger = Ledger::new(0, 1);
        let (old, flushed) = (written(&mut ledger), written(&mut ledger));
        let flush = ledger.begin_flush();
        ledger.end_flush(flush);
        let newer = written(&mut ledger);
        ledger.end_of_daemon(Survives::WhatWasFlushed);
        for (stamp, may_be) in [(old.stamp, false), (flushed.stamp, true), (newer.stamp, true)] {
            assert_eq!(read(&mut ledger.clone(), stamp).is_ok(), may_be, "{stamp}");
        }
        read(&mut ledger, flushed.stamp).unwrap();
        assert!(read(&mut ledger, newer.stamp).is_err(), "it does not come back");
    }

    #[test]
    fn no_two_volumes_hold_the_same() {
        let (mut one, mut other) = (Ledger::new(0, 1), Ledger::new(1, 1));
        let (in_one, in_other) = (written(&mut one), written(&mut other));
        assert_eq!(in_one.stamp, in_other.stamp);
        let (begun, all) = (other.begin_read(), payload(in_one));
        assert!(other.end_read(begun, PLACE, &all).is_err(), "it is of the one");
    }

    #[test]
    fn another_content_leaves_what_it_does_not_replace() {
        let mut ledger = Ledger::new(0, 2);
        let written = ledger.begin_write(Extent::between(0, 2 * PLACE_BYTES));
        ledger.end_change(written, true, true);
        let foreign = [ledger.foreign(0), ledger.foreign(1)].concat();
        ledger.is_another_content(&foreign, |place| place == 0);
        ledger.end_of_daemon(Survives::WhatWasFlushed);
        assert!(read(&mut ledger.clone(), written.stamp).is_err(), "it was replaced");
        let all = Extent::between(0, 2 * PLACE_BYTES);
        let begun = ledger.begin_read();
        let expected = [&foreign[..512], &bytes_at(written.stamp, 1)].concat();
        ledger.end_read(begun, all, &expected).unwrap();
    }

    #[test]
    fn a_flush_says_nothing_about_what_a_loss_of_power_may_have_taken() {
        let mut ledger = Ledger::new(0, 1);
        let lost = written(&mut ledger);
        ledger.end_of_daemon(Survives::WhatWasFlushed);
        let flush = ledger.begin_flush();
        ledger.end_flush(flush);
        for stamp in [0, lost.stamp] {
            read(&mut ledger.clone(), stamp).unwrap();
        }
        read(&mut ledger, lost.stamp).unwrap();
        let flush = ledger.begin_flush();
        ledger.end_flush(flush);
        ledger.end_of_daemon(Survives::WhatWasFlushed);
        assert!(read(&mut ledger, 0).is_err(), "it was read, and then flushed");
    }

    #[test]
    fn a_kill_leaves_all_that_was_acknowledged() {
        let mut ledger = Ledger::new(0, 1);
        let acknowledged = written(&mut ledger);
        let under_way = ledger.begin_write(PLACE);
        ledger.end_of_daemon(Survives::Everything);
        assert!(read(&mut ledger.clone(), 0).is_err());
        read(&mut ledger.clone(), under_way.stamp).unwrap();
        read(&mut ledger, acknowledged.stamp).unwrap();
    }
}
