//! A volume in conflict: the medium in its bay was changed while it was away, or is an older copy of itself.
//!
//! The journal does not belong to what such a medium holds, and clients trust what they have read of another content. So
//! nothing is written to it and nothing read from it: the volume goes on as if it were away, until somebody has decided
//! what counts. The bay is occupied, but the medium is not kept open, so that it can be looked at meanwhile; it is opened
//! and looked at again when it is decided.

use std::sync::Arc;

use hotbay_block::{Medium, with_sources};
use tokio::time::Instant;

use crate::bay::BayPlace;
use crate::event::EventKind;
use crate::failure::Refusal;
use crate::insertion::Found;
use crate::journal_log::JournalLog;
use crate::state::{State, Trigger};
use crate::volume::{MayReturn, Stay, Volume};

/// What is to count where a medium was changed while it was away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The journal: it is laid over the medium as it is. Sessions go on.
    Replay,
    /// The medium as it is: the journal is given up, and sessions are closed.
    Discard,
}

/// The medium that is in the bay in conflict.
#[derive(Debug)]
pub(crate) struct Dispute {
    pub(crate) medium: String,
    pub(crate) place: BayPlace,
    /// What shows that it was changed.
    pub(crate) why: String,
}

/// What to do with the medium of a volume in conflict that has another size now.
const OTHER_SIZE: &str = "'hotbay eject' gives it back";

impl Volume {
    /// Leaves a medium in its bay that was changed; gives what whoever put it in is told. `why` says what is with it, as a
    /// predicate. Called with `stay` held.
    pub(crate) async fn dispute(&self, medium: &str, place: BayPlace, why: &str) -> Refusal {
        let volume = self.name();
        let text = format!("{medium} {why}");
        // So that a restart does not take it for the volume's own.
        let mut decides = "replay|discard";
        self.update_record_or_warn(|record| {
            record.in_bay = true;
            record.conflict = Some(medium.to_owned());
            if record.parted.is_some() {
                decides = "discard|newest";
            }
        })
        .await;
        let dispute = Dispute { medium: medium.to_owned(), place, why: text.clone() };
        *self.dispute.lock() = Some(dispute);
        self.set_route(State::Conflict, self.journal_path(None));
        self.event(EventKind::Conflict, format!("{text}; nothing was written to it"));
        Refusal::new(format!("volume {volume} is in conflict: {text}")).hint(format!(
            "nothing was written to it; 'hotbay resolve {volume} {decides}' decides what counts, \
             'hotbay resolve {volume} save FILE' keeps what the journal holds, 'hotbay eject {volume}' gives it back"
        ))
    }

    /// Sees to it that its medium is in conflict when it is back, and why; with `None` that it is not. Durable when it returns.
    ///
    /// # Errors
    /// Where the medium is in, or it cannot be recorded; then all is as before.
    pub(crate) async fn part(&self, why: Option<&str>) -> Result<(), Refusal> {
        // No medium is let in meanwhile.
        let _stay = self.stay.lock().await;
        let state = self.state();
        if !matches!(state, State::Absent | State::Conflict | State::Failed) {
            return Err(Refusal::new(format!(
                "volume {} is {state}: its medium is in",
                self.name()
            ))
            .hint("see 'hotbay status', and decide again"));
        }
        self.update_record(|record| record.parted = why.map(str::to_owned)).await
    }

    /// Takes the medium in conflict out of the bay. Called with `stay` held.
    pub(crate) async fn give_back(&self, kind: EventKind) {
        let Some(dispute) = self.dispute.lock().take() else { return };
        let Dispute { medium, place, .. } = dispute;
        let (may_return, text) = match kind {
            EventKind::Lost => (MayReturn::NotBefore(Instant::now()), "is gone"),
            _ => (MayReturn::OnceSeenAway, "may be taken away"),
        };
        self.notes.lock().may_return = may_return;
        drop(place);
        self.set_route(State::Absent, self.journal_path(None));
        self.update_record_or_warn(|record| {
            record.in_bay = false;
            record.conflict = None;
        })
        .await;
        self.event(kind, format!("{medium} {text}, as it was"));
    }

    /// Notices that the medium in conflict is gone.
    pub(crate) async fn look_for_disputed(&self) {
        let Some(medium) = self.disputed_medium() else { return };
        if self.is_there(medium.clone()).await {
            return;
        }
        let _stay = self.stay.lock().await;
        let is_the_same = self.disputed_medium().is_some_and(|now| now == medium);
        if is_the_same && matches!(self.next_state(Trigger::Loss), Ok(Some(_))) {
            self.give_back(EventKind::Lost).await;
        }
    }

    fn disputed_medium(&self) -> Option<String> {
        self.dispute.lock().as_ref().map(|dispute| dispute.medium.clone())
    }

    /// Decides what counts. With [`Resolution::Replay`] it returns when the replay has begun.
    ///
    /// # Errors
    /// Where the volume is not in conflict, or the medium cannot be used: then it still is. Where the journal cannot be given
    /// up the volume fails.
    pub(crate) async fn resolve(self: &Arc<Self>, resolution: Resolution) -> Result<(), Refusal> {
        let mut stay = self.stay.lock().await;
        self.next_state(match resolution {
            Resolution::Replay => Trigger::Replay,
            Resolution::Discard => Trigger::Discard,
        })?;
        let Some(medium) = self.disputed_medium() else {
            return Err(Refusal::new("no medium is in"));
        };
        let opened = self.open_medium(&mut stay, &medium).await?;
        self.must_fit(&opened, OTHER_SIZE).await?;
        let found = self.look_at(&mut stay, &opened).await?;
        match resolution {
            Resolution::Replay => {
                let content = self.route.load().content;
                let text = format!("the journal of volume {} goes to {medium}", self.name());
                self.put_in(&mut stay, opened, found, content, || self.settled(text)).await
            }
            Resolution::Discard => self.discard(&mut stay, opened, found).await,
        }
    }

    /// The bay of the medium that was in conflict.
    fn settled(&self, text: String) -> BayPlace {
        let dispute = self.dispute.lock().take();
        self.event(EventKind::Resolved, text);
        dispute.expect("whoever holds `stay` has seen it").place
    }

    /// Goes on with what the medium holds. From the moment that the record says so the journal is none of this content: a
    /// crash before that finds the conflict, one after it gives up the rest of the journal at the next start.
    async fn discard(
        self: &Arc<Self>,
        stay: &mut Stay,
        opened: Arc<dyn Medium>,
        found: Found,
    ) -> Result<(), Refusal> {
        self.come_to_rest(stay, None).await?;
        let content = self.route.load().content + 1;
        let decided = self.update_record(|record| {
            record.go_to(opened.name(), found.identity, content);
            record.discards_journal = true;
        });
        if let Err(refusal) = decided.await {
            self.go_on_as_before();
            return Err(refusal);
        }
        if let Err(why) = give_up(&self.log()).await {
            self.fail_now(stay, &why);
            return Err(Refusal::new(why));
        }
        self.update_record_or_warn(|record| record.discards_journal = false).await;
        let text = format!("the journal was given up; {} counts as it is", opened.name());
        let (place, size_bytes) = (self.settled(text), self.route.load().size_bytes);
        self.begin_content(stay, opened, place, content, size_bytes);
        Ok(())
    }

    /// Ends what a decision had begun before the daemon ended. Before anybody is let in.
    pub(crate) async fn go_on_discarding(&self) {
        let mut stay = self.stay.lock().await;
        match give_up(&self.log()).await {
            Ok(()) => self.update_record_or_warn(|record| record.discards_journal = false).await,
            Err(why) => self.fail_now(&mut stay, &why),
        }
    }
}

/// Lets the journal go of all that it holds, durably.
async fn give_up(log: &JournalLog) -> Result<(), String> {
    // More than once only where space was gained meanwhile: that gives what it moves a newer sequence.
    while !log.is_empty() {
        log.mark_replayed(log.head()).await.map_err(|error| with_sources(&error))?;
    }
    Ok(())
}
