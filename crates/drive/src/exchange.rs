//! Swap as it is: another content in place of this one.
//!
//! What clients know of the earlier content must never reach the new one, so the content's number goes up with the
//! route: sessions of the earlier content are closed, and each request that they still make fails. Until the
//! record on stable storage names the new medium, the volume is on the earlier one.

use std::sync::Arc;

use hotbay_block::{Identity, Medium, with_sources};
use hotbay_journal::Storage;
use tokio::time::timeout;

use crate::attachment::Attachment;
use crate::bay::BayPlace;
use crate::event::EventKind;
use crate::failure::Refusal;
use crate::journal_log::JournalLog;
use crate::record::VolumeRecord;
use crate::route::{Path, Route};
use crate::start::open_journal;
use crate::state::{State, Trigger};
use crate::volume::{Reach, Stay, Volume};

impl Volume {
    /// Puts a medium in with the content and the size that it has, in place of the earlier one, which is ejected.
    /// `place` is a bay for a volume that has none. Sessions are closed.
    ///
    /// # Errors
    /// Where the journal holds changes of the earlier content, where the earlier medium cannot be synced (it
    /// then counts as lost), or where the new one cannot be opened: then nothing has changed.
    pub(crate) async fn exchange(
        self: &Arc<Self>,
        medium: &str,
        place: Option<BayPlace>,
    ) -> Result<(), Refusal> {
        let mut stay = self.stay.lock().await;
        self.next_state(Trigger::Exchange)?;
        let old = self.current_attachment();
        let (target, identity) = self.open_other(&mut stay, medium).await?;
        self.come_to_rest(&mut stay, old.as_ref()).await?;
        let size_bytes = identity.size_bytes;
        let content = self.route.load().content + 1;
        let taken_over = self.take_over(&mut stay, target.name(), identity, content).await;
        let free = old.as_ref().and_then(|old| old.leave_bay()).or(place);
        let place = match (taken_over, free) {
            (Ok(()), Some(place)) => place,
            (taken_over, free) => {
                if let (Some(old), Some(place)) = (&old, free) {
                    old.return_to_bay(place);
                }
                self.go_on_as_before();
                let name = self.name();
                return taken_over
                    .and(Err(Refusal::new(format!("no bay is free for volume {name}"))));
            }
        };
        if let Some(old) = &old {
            drop(old.fence());
            stay.leave_behind(Reach::Own, old.departure());
        }
        let name = target.name().to_owned();
        let path = Path::Medium(self.attach(&mut stay, target, place));
        self.replace_route(Route { state: State::Present, content, size_bytes, path });
        self.contents.send_replace(content);
        self.event(EventKind::Exchanged, format!("{name} is in as it is; sessions were closed"));
        Ok(())
    }

    async fn open_other(
        &self,
        stay: &mut Stay,
        medium: &str,
    ) -> Result<(Arc<dyn Medium>, Identity), Refusal> {
        let target = self.open_medium(stay, medium).await?;
        if target.info().size_bytes == 0 {
            let message = format!("{medium} is empty");
            return Err(Refusal::new(message).hint("a volume has at least one byte"));
        }
        let identity = self.identify(stay, &target).await?;
        Ok((target, identity))
    }

    /// Lets nobody in, waits for those who are, and makes sure that nothing of the earlier content is left that only
    /// the journal or a cache has.
    async fn come_to_rest(
        &self,
        stay: &mut Stay,
        old: Option<&Arc<Attachment>>,
    ) -> Result<(), Refusal> {
        if let Some(old) = old {
            self.drain(old).await?;
            if let Err(error) = self.settle(old).await {
                let message = format!("{} could not be synced: {error}", old.medium.name());
                self.lost(stay, Arc::clone(old), &error).await;
                return Err(Refusal::new(message)
                    .hint("it counts as lost; what it may not have is kept in the journal"));
            }
        }
        if let Path::Journal { gate, .. } = &self.route.load_full().path {
            gate.close();
            let wait = self.settings.pause_max();
            if timeout(wait, gate.drained()).await.is_err() {
                self.go_on_as_before();
                return Err(Refusal::new(format!("the journal is still at work after {wait:?}"))
                    .hint("try again when its disk answers"));
            }
        }
        if self.log().is_empty() {
            return Ok(());
        }
        self.go_on_as_before();
        let name = self.name();
        Err(Refusal::new(format!(
            "the journal of volume {name} holds changes that are on no medium"
        ))
        .hint(format!("bring them to their medium first: hotbay insert {name}")))
    }

    /// Opens the gates again; those who met them closed are sent the same way once more.
    fn go_on_as_before(&self) {
        let route = self.route.load_full();
        match &route.path {
            Path::Medium(attachment) => attachment.reopen(),
            Path::Journal { gate, .. } => gate.open(),
            Path::Closed => {}
        }
        self.set_route(route.state, route.path.clone());
    }

    /// Makes the new medium the volume's own on stable storage, with an empty journal of its size. The journal is removed
    /// before the record names another size and begun after it, so that a crash never leaves two that differ.
    async fn take_over(
        &self,
        stay: &mut Stay,
        medium: &str,
        identity: Identity,
        content: u64,
    ) -> Result<(), Refusal> {
        let before = self.record.lock().await.clone();
        let size_bytes = identity.size_bytes;
        let resized = before.size_bytes != size_bytes;
        if resized {
            let storage = Arc::clone(&self.journal_storage);
            let log = self.log();
            let removing = "a removal of the empty journal";
            let removed = log.beside(removing, move || remove_empty_journal(storage.as_ref()));
            let removed = removed.await.map_err(|why| why.to_string());
            if let Err(error) = removed.and_then(|done| done.map_err(|error| error.to_string())) {
                self.take_back(stay, before).await;
                return Err(Refusal::new(format!("cannot begin a new journal: {error}")));
            }
        }
        let recorded = self.update_record(|record| {
            record.medium = Some(medium.to_owned());
            record.in_bay = true;
            record.content = content;
            record.size_bytes = size_bytes;
            record.identity = Some(identity);
            record.identity_unsettled = false;
        });
        let begun = match recorded.await {
            Ok(()) if resized => self.begin_journal().await,
            other => other,
        };
        if begun.is_err() && resized {
            self.take_back(stay, before).await;
        }
        begun
    }

    /// Opens the journal that the record asks for, in place of the one that was removed.
    async fn begin_journal(&self) -> Result<(), Refusal> {
        let record = self.record.lock().await.clone();
        let storage = Arc::clone(&self.journal_storage);
        let wait = self.settings.io_deadline;
        let opening = open_journal(&self.settings, &record, storage);
        let opened = timeout(wait, opening).await.map_err(|_| {
            Refusal::new(format!("a new journal could not be begun within {wait:?}"))
        })?;
        let (journal, _) = opened.map_err(|error| Refusal::new(with_sources(&error)))?;
        self.log.store(Some(Arc::new(JournalLog::new(journal))));
        Ok(())
    }

    /// Goes back to the earlier record and an empty journal of the earlier size. Where that fails the volume does: it
    /// would write to a journal that nobody will find again.
    async fn take_back(&self, stay: &mut Stay, before: VolumeRecord) {
        let recorded = self.update_record(|record| *record = before).await;
        let begun = match recorded {
            Ok(()) => self.begin_journal().await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = begun {
            self.fail_now(stay, refusal.message());
        }
    }
}

fn remove_empty_journal(storage: &dyn Storage) -> std::io::Result<()> {
    for segment in storage.list()? {
        storage.remove(&segment)?;
    }
    storage.sync_directory()
}
