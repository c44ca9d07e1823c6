//! What each place of a volume may hold.

use crate::history::UNITS;

/// What a change puts into a place; 0 is zeroes.
pub(crate) type Stamp = u32;

/// One change of a batch, and whether it was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) from: u64,
    pub(crate) units: u64,
    pub(crate) stamp: Stamp,
    pub(crate) acknowledged: bool,
}

impl Made {
    fn covers(&self, unit: u64) -> bool {
        (self.from..self.from + self.units).contains(&unit)
    }
}

/// The stamps that each place may hold: one, or several where changes were under way together and nobody has
/// looked since.
#[derive(Debug)]
pub(crate) struct Model {
    unit_bytes: u64,
    may_hold: Vec<Vec<Stamp>>,
}

impl Model {
    pub(crate) fn new(unit_bytes: u64) -> Self {
        Self { unit_bytes, may_hold: (0..UNITS).map(|_| vec![0]).collect() }
    }

    /// The bytes of a place.
    pub(crate) fn bytes(stamp: Stamp, unit: u64, unit_bytes: u64) -> Vec<u8> {
        let length = usize::try_from(unit_bytes).unwrap();
        if stamp == 0 {
            return vec![0; length];
        }
        let mixed = (u64::from(stamp) << 32 | unit).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        mixed.to_le_bytes().repeat(length / 8)
    }

    /// The bytes of a change.
    pub(crate) fn payload(stamp: Stamp, from: u64, units: u64, unit_bytes: u64) -> Vec<u8> {
        (from..from + units).flat_map(|unit| Self::bytes(stamp, unit, unit_bytes)).collect()
    }

    /// A batch of changes that were under way together is over.
    pub(crate) fn made(&mut self, batch: &[Made]) {
        for unit in 0..UNITS {
            let covering = || batch.iter().filter(|made| made.covers(unit));
            if covering().next().is_none() {
                continue;
            }
            let holds = &mut self.may_hold[place(unit)];
            if covering().any(|made| made.acknowledged) {
                holds.clear();
            }
            holds.extend(covering().map(|made| made.stamp));
        }
    }

    /// Checks what was read while a batch was under way.
    pub(crate) fn check(&self, from: u64, bytes: &[u8], batch: &[Made]) -> Result<(), String> {
        for (unit, found) in self.units(from, bytes) {
            let before = self.may_hold[place(unit)].iter().copied();
            let now = batch.iter().filter(|made| made.covers(unit)).map(|made| made.stamp);
            self.find(unit, found, before.chain(now))?;
        }
        Ok(())
    }

    /// Checks what was read while nothing else was under way; whatever it is, it stays.
    pub(crate) fn settle(&mut self, from: u64, bytes: &[u8]) -> Result<(), String> {
        let mut settled = Vec::new();
        for (unit, found) in self.units(from, bytes) {
            let holds = self.may_hold[place(unit)].iter().copied();
            settled.push((unit, self.find(unit, found, holds)?));
        }
        for (unit, stamp) in settled {
            self.may_hold[place(unit)] = vec![stamp];
        }
        Ok(())
    }

    fn units<'a>(
        &self,
        from: u64,
        bytes: &'a [u8],
    ) -> impl Iterator<Item = (u64, &'a [u8])> + use<'a> {
        (from..).zip(bytes.chunks(place(self.unit_bytes)))
    }

    fn find(
        &self,
        unit: u64,
        found: &[u8],
        mut allowed: impl Iterator<Item = Stamp> + Clone,
    ) -> Result<Stamp, String> {
        let all = allowed.clone();
        allowed.find(|&stamp| Self::bytes(stamp, unit, self.unit_bytes) == found).ok_or_else(|| {
            let is = self.guess(unit, found);
            format!("place {unit} holds {is} and not one of {:?}", all.collect::<Vec<_>>())
        })
    }

    /// Which stamp it is after all, for the message.
    fn guess(&self, unit: u64, found: &[u8]) -> String {
        let stamp = (0..5_000).find(|&s| Self::bytes(s, unit, self.unit_bytes) == found);
        stamp.map_or_else(|| format!("{:02x?}…", &found[..8]), |stamp| stamp.to_string())
    }
}

fn place(unit: u64) -> usize {
    usize::try_from(unit).unwrap()
}
