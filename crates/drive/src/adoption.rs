//! Adoption: a fresh medium takes the place of one that is lost for ever.
//!
//! Only where all that the volume holds is known without the lost one: the journal holds every byte of it, on stable storage,
//! or it is a copy of a mirror of which another copy has everything. What is known is brought to the fresh medium by a replay
//! like any other, or by the mirror. Nothing is written to it before the record names it, so that a crash goes on with it.

use std::sync::Arc;

use hotbay_block::{Extent, Identity, with_sources};

use crate::bay::{BayPlace, WhenOccupied};
use crate::drive::{Drive, finished};
use crate::event::EventKind;
use crate::failure::Refusal;
use crate::insertion::{Found, being_stopped};
use crate::journal_log::{JournalLog, blocking};
use crate::mirror::Mirror;
use crate::recognise::{Known, Recognised, recognise};
use crate::state::{State, Trigger};
use crate::sync_place::Company;
use crate::volume::Volume;
use crate::witness::Witness;

/// How many pieces of the journal are looked at at once: appends wait for that long.
const PIECES_AT_ONCE: usize = 4096;

impl Drive {
    /// Puts a fresh medium into a bay in place of the volume's own, which is lost for ever. Returns when the journal has been
    /// replayed to it; a copy of a `mirror` catches up after that. If this is dropped the replay goes on.
    ///
    /// # Errors
    /// As for [`Self::insert`]; where the medium is another volume's or not empty; where something is known neither from the
    /// journal nor from another copy of the mirror. Nothing is written to it then.
    pub async fn adopt(
        &self,
        volume: &str,
        medium: &str,
        when_occupied: WhenOccupied,
        mirror: Option<&Mirror>,
    ) -> Result<(), Refusal> {
        let volume = self.volume(volume)?;
        volume.next_state(Trigger::Insert)?;
        let place = self.place_for(&volume, when_occupied).await?;
        let others: Vec<Arc<Volume>> =
            self.volumes().into_iter().filter(|other| !Arc::ptr_eq(other, &volume)).collect();
        volume.adopt(medium, place, &others, mirror).await?;
        finished(&volume, State::Replaying).await
    }
}

impl Volume {
    async fn adopt(
        self: &Arc<Self>,
        medium: &str,
        place: BayPlace,
        others: &[Arc<Self>],
        mirror: Option<&Mirror>,
    ) -> Result<(), Refusal> {
        let mut stay = self.stay.lock().await;
        self.next_state(Trigger::Insert)?;
        if self.is_stopping() {
            return Err(being_stopped());
        }
        let opened = self.open_medium(&mut stay, medium).await?;
        self.must_fit(&opened, "a fresh medium must have the volume's size").await?;
        let identity = self.identify(&mut stay, &opened).await?;
        self.must_be_nobodys(medium, &identity, others).await?;
        self.must_be_empty(medium, &identity).await?;
        // With `stay` held, so that no other medium gets anything between this and the fresh one's coming.
        self.must_be_known(mirror).await?;
        let in_place_of = self.record.lock().await.identity.clone();
        // What a fresh medium holds is no witness of anything.
        let found = Found { identity, witness: Witness::default(), in_place_of };
        let content = self.route.load().content;
        self.put_in(&mut stay, opened, found, content, || place).await
    }

    /// Refuses the medium of another volume of the drive, which may be away.
    async fn must_be_nobodys(
        &self,
        medium: &str,
        found: &Identity,
        others: &[Arc<Self>],
    ) -> Result<(), Refusal> {
        for other in others {
            let record = other.record.lock().await;
            let Some(identity) = &record.identity else { continue };
            let unsettled = record.identity_unsettled;
            let known = Known { identity, unsettled, given_up: &[] };
            if !matches!(recognise(known, found), Recognised::Another(_)) {
                let why = format!("{medium} is the medium of volume {}", other.name());
                return Err(self.not_adopted(why, "name a fresh one"));
            }
        }
        Ok(())
    }

    /// Refuses a medium that plainly holds something. Whose it is is not asked: to wipe it is for its owner.
    async fn must_be_empty(&self, medium: &str, found: &Identity) -> Result<(), Refusal> {
        if found.content.is_empty() {
            return Ok(());
        }
        let record = self.record.lock().await;
        let is_own = record.identity.as_ref().is_some_and(|identity| {
            let unsettled = record.identity_unsettled;
            let known = Known { identity, unsettled, given_up: &record.given_up };
            recognise(known, found) == Recognised::Own
        });
        let hint = match is_own {
            true => "it looks like the volume's own; insert it without --new",
            false => {
                "name a fresh one, or where nobody needs that, take it away with 'wipefs --all'"
            }
        };
        let why = format!("{medium} is not empty: it holds {}", found.content.join(" "));
        Err(self.not_adopted(why, hint))
    }

    /// Refuses where something is known neither from the journal nor from another copy. In the end a copy that lacks
    /// anything is recorded to be behind in everything.
    async fn must_be_known(&self, mirror: Option<&Mirror>) -> Result<(), Refusal> {
        let Some(missing) = self.missing_in_the_journal().await? else { return Ok(()) };
        match mirror {
            Some(mirror) => mirror.take_for_old(self.name()).await,
            None => Err(self.is_not_known(&missing)),
        }
    }

    /// What the journal does not hold on stable storage: what is there only until the next crash would be lost with an older
    /// version that the lost medium alone had.
    async fn missing_in_the_journal(&self) -> Result<Option<Missing>, Refusal> {
        let log = self.log();
        log.sync(Company::Others).await.map_err(|error| Refusal::new(with_sources(&error)))?;
        let size_bytes = self.route.load().size_bytes;
        Ok(blocking(move || missing(&log, size_bytes)).await)
    }

    fn is_not_known(&self, Missing { bytes, first }: &Missing) -> Refusal {
        let (volume, size_bytes) = (self.name(), self.route.load().size_bytes);
        let why = format!(
            "only the lost medium of volume {volume} has {bytes} of its {size_bytes} bytes, the first of them at {}+{}",
            first.offset(),
            first.length()
        );
        let hint = format!(
            "'hotbay journal export {volume} FILE' gets out what the journal holds, onto a backup with --onto; \
             'hotbay swap {volume} MEDIUM --as-is' goes on with another content"
        );
        self.not_adopted(why, &hint)
    }

    fn not_adopted(&self, why: String, hint: &str) -> Refusal {
        self.event(EventKind::Refused, why.clone());
        Refusal::new(why).hint(format!("nothing was written to the medium; {hint}"))
    }
}

/// What a journal does not hold.
struct Missing {
    bytes: u64,
    first: Extent,
}

/// What of a volume's bytes the journal does not hold; `None` where it has all of them.
fn missing(log: &JournalLog, size_bytes: u64) -> Option<Missing> {
    let mut missing: Option<Missing> = None;
    let mut at = 0;
    while at < size_bytes {
        let pieces = log.first_pieces(Extent::between(at, size_bytes), PIECES_AT_ONCE);
        at = pieces.last().map_or(size_bytes, |last| last.extent.end());
        for gap in pieces.iter().filter(|piece| piece.content.is_none()) {
            let length = gap.extent.length();
            match &mut missing {
                Some(missing) => missing.bytes += length,
                None => missing = Some(Missing { bytes: length, first: gap.extent }),
            }
        }
    }
    missing
}
