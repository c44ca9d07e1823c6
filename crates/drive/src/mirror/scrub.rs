//! Comparing the copies, which ought to hold the same bytes.

use bytes::Bytes;
use hotbay_block::{Extent, Request};

use crate::copy::as_change;
use crate::event::EventKind;
use crate::failure::Refusal;

use super::{Mirror, Mirrored};

/// What is compared at once; a difference is told with this precision.
const STEP_BYTES: u64 = 64 << 10;

/// What to do with a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scrub {
    /// Report it.
    Report,
    /// Report it, and write what the copy that is compared with holds to the other.
    Repair,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Bytes of which two copies or more were read.
    pub compared_bytes: u64,
    /// Bytes of the ranges in which a copy differs. Each is told as an event, too.
    pub differing_bytes: u64,
}

impl Mirror {
    /// Compares the other copies that are in sync, with their medium in, with the one on `volume`, while clients go on. A range
    /// that is being compared is not changed meanwhile. `seen` is told how many bytes are done, and how many there are.
    ///
    /// # Errors
    /// Where that copy or all others are not there or not in sync, or one cannot be read or repaired.
    pub async fn scrub(
        &self,
        volume: &str,
        scrub: Scrub,
        mut seen: impl FnMut(u64, u64) + Send,
    ) -> Result<Differences, Refusal> {
        let mirrored = &self.mirrored;
        let first = mirrored.copies.iter().position(|copy| copy.volume.name() == volume);
        let first =
            first.ok_or_else(|| Refusal::new(format!("{volume} is no copy of the mirror")))?;
        let mut found = Differences::default();
        let whole = Extent::between(0, mirrored.granules.size_bytes());
        for extent in whole.pieces(STEP_BYTES) {
            let differs = mirrored.compare(extent, first, scrub).await?;
            found.compared_bytes += extent.length();
            found.differing_bytes += if differs { extent.length() } else { 0 };
            seen(extent.end(), whole.end());
        }
        Ok(found)
    }
}

impl Mirrored {
    /// Whether a copy differs from the first one in this range.
    async fn compare(&self, extent: Extent, first: usize, scrub: Scrub) -> Result<bool, Refusal> {
        let _pass = self.gate.read().await;
        let _claim = self.claims.claim(extent).await;
        let others = self.comparable_with(first)?;
        let content = self.content(first, extent).await?;
        let mut differs = false;
        for copy in others {
            if self.content(copy, extent).await? == content {
                continue;
            }
            differs = true;
            let name = self.copies[copy].volume.name();
            self.tell(copy, EventKind::Warning, format!("the copy on {name} differs at {extent}"));
            if scrub == Scrub::Repair {
                let repair = self.copies[copy].device.execute(as_change(extent, content.clone()));
                let repaired = repair.answer().await;
                repaired.map_err(|error| self.cannot("repair", copy, extent, &error))?;
            }
        }
        Ok(differs)
    }

    async fn content(&self, copy: usize, extent: Extent) -> Result<Bytes, Refusal> {
        let answer = self.copies[copy].device.execute(Request::read(extent)).answer().await;
        let reply = answer.map_err(|error| self.cannot("read", copy, extent, &error))?;
        Ok(reply.into_payload().into_bytes())
    }

    /// The other copies in sync with their medium in; at least one.
    fn comparable_with(&self, first: usize) -> Result<Vec<usize>, Refusal> {
        let standings = self.standings.lock();
        let (these, others): (Vec<usize>, Vec<usize>) = standings
            .in_sync()
            .filter(|copy| self.copies[*copy].is_present())
            .partition(|copy| *copy == first);
        let name = self.copies[first].volume.name();
        let refusal = match (these.is_empty(), others.is_empty()) {
            (false, false) => return Ok(others),
            (true, _) => {
                Refusal::new(format!("the copy on {name} is behind, or its medium is away"))
            }
            (false, true) => {
                Refusal::new(format!("no other copy is in sync to be compared with {name}"))
            }
        };
        Err(refusal.hint("'hotbay status' shows how the copies are doing"))
    }

    fn cannot(
        &self,
        what: &str,
        copy: usize,
        extent: Extent,
        error: &hotbay_block::Error,
    ) -> Refusal {
        let name = self.copies[copy].volume.name();
        Refusal::new(format!("cannot {what} the copy on {name} at {extent}: {error}"))
    }
}
