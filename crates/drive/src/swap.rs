//! Swap: a live copy to another medium, then one atomic switch.
//!
//! Until the record on stable storage names the target, the volume is on the source, whatever happens; from then on it is
//! on the target. A target that fails leaves the source in place. A source that is lost is a removal like any other.

use std::sync::Arc;

use hotbay_block::{Error, ErrorKind, Extent, Identity};
use tokio::time::timeout;

use crate::attachment::Here;
use crate::copy::{Copier, CopyError};
use crate::event::EventKind;
use crate::failure::Refusal;
use crate::journal_log::blocking;
use crate::route::Path;
use crate::state::{State, Trigger};
use crate::volume::{Reach, Volume};

impl Volume {
    /// Copies the volume to another medium of the same size and goes on there. Returns when it has switched. If this
    /// is dropped the swap goes on by itself.
    ///
    /// # Errors
    /// Where the volume is not present, the target cannot be opened or has another size, or either of them
    /// fails: then the volume is where it was, or, if its source was lost, absent.
    pub(crate) async fn swap(self: &Arc<Self>, medium: &str) -> Result<(), Refusal> {
        let copier = self.begin_copy(medium).await?;
        self.to_its_end(|_| copier.run()).await
    }

    async fn begin_copy(self: &Arc<Self>, medium: &str) -> Result<Copier, Refusal> {
        let mut stay = self.stay.lock().await;
        self.next_state(Trigger::Copy)?;
        let target = self.open_beside(&mut stay, medium).await?;
        if target.info().size_bytes != self.route.load().size_bytes {
            return Err(
                self.has_another_size(&target, "a swap needs a medium of the volume's size")
            );
        }
        self.identify(&mut stay, &target).await?;
        let Some(source) = self.current_attachment() else {
            return Err(Refusal::new("no medium is in"));
        };
        source.note_dirty();
        self.set_route(State::Copying, Path::Medium(Arc::clone(&source)));
        self.event(
            EventKind::CopyStarted,
            format!("{} is being copied to {medium}", source.medium.name()),
        );
        let here = Here::new();
        // I/O of a copy that was given up may still land on the target.
        stay.leave_behind(Reach::Named(medium.to_owned()), here.departure());
        Ok(Copier::new(self, source, target, here))
    }
}

impl Copier {
    async fn run(self) -> Result<(), Refusal> {
        // A target that hangs must not keep a source that was pulled.
        let copied = tokio::select! {
            biased;
            copied = self.copy_while_clients_go_on() => copied,
            () = self.source.left() => Err(CopyError::Left),
        };
        let Some(mut stay) = self.volume.turn_at(&self.source).await else {
            return Err(self.left());
        };
        if self.is_left() {
            return Err(self.left());
        }
        let left = match copied {
            Ok(left) => left,
            Err(error) => return Err(self.give_up(error)),
        };
        if let Err(refusal) = self.volume.drain(&self.source).await {
            let error = Error::new(ErrorKind::Medium, refusal.to_string());
            return Err(self.give_up(CopyError::Source(error)));
        }
        // A sync that failed before the gate was closed: what the source reads as now may be old.
        if self.is_left() {
            return Err(self.left());
        }
        let identity = match self.complete_target(left).await {
            Ok(identity) => identity,
            Err(error) => return Err(self.give_up(error)),
        };
        let name = self.target.name().to_owned();
        let recorded = self.volume.update_record(|record| {
            record.go_to(&name, identity, record.content);
        });
        if let Err(refusal) = recorded.await {
            let error = Error::new(ErrorKind::Medium, refusal.to_string());
            return Err(self.give_up(CopyError::Target(error)));
        }
        let Some(place) = self.source.leave_bay() else { return Err(self.left()) };
        let observed = self.source.observed_places();
        let retained = self.source.fence().retained;
        stay.leave_behind(Reach::Own, self.source.departure());
        let target = Arc::clone(&self.target);
        let attachment = self.volume.attach(&mut stay, target, place, observed);
        self.volume.set_progress(None);
        self.volume.set_route(State::Present, Path::Medium(Arc::clone(&attachment)));
        self.volume.observe_soon(&attachment);
        blocking(move || drop(retained)).await;
        let (source, volume) = (self.source.medium.name(), &self.volume);
        volume.event(
            EventKind::Switched,
            format!("the volume is on {name} now; {source} may be taken away"),
        );
        Ok(())
    }

    /// Brings the target what it does not have yet, with the gate closed: for a bounded time, since clients wait.
    async fn complete_target(&self, left: Vec<Extent>) -> Result<Identity, CopyError> {
        let complete = async {
            self.copy_the_rest(left).await?;
            // What is written is what is synced: nobody else writes to the target. Neither is dropped when the other one
            // fails.
            let (synced, identity) = tokio::join!(self.sync_target(), self.target.identify());
            synced?;
            identity.map_err(CopyError::Target)
        };
        let wait = self.volume.settings().pause_max();
        timeout(wait, complete).await.unwrap_or_else(|_| {
            let why = format!("the rest of the copy takes more than {wait:?}");
            Err(CopyError::Target(Error::new(ErrorKind::TimedOut, why)))
        })
    }

    /// Whether the source is lost or was taken away; then whoever noticed goes on from here.
    fn is_left(&self) -> bool {
        !self.volume.is_current(&self.source)
            || self.source.is_fenced()
            || self.source.loss_is_reported()
    }

    /// The source is not the volume's any more; whoever took it has told why.
    fn left(&self) -> Refusal {
        let (volume, source) = (self.volume.name(), self.source.medium.name());
        Refusal::new(format!("{source} was removed while volume {volume} was being copied"))
            .hint("nothing is lost; insert it and swap again")
    }

    /// Goes on where the volume was. Called with `stay` held.
    fn give_up(&self, error: CopyError) -> Refusal {
        let source_is_gone = matches!(&error, CopyError::Source(e) if e.kind() == ErrorKind::Gone);
        let (what, error) = match error {
            CopyError::Left => return self.left(),
            CopyError::Source(error) => {
                (format!("cannot read {}", self.source.medium.name()), error)
            }
            CopyError::Target(error) => (format!("cannot use {}", self.target.name()), error),
        };
        let why = format!("{what}: {}", error.with_sources());
        self.source.forget_dirty();
        self.source.reopen();
        self.volume.set_route(State::Present, Path::Medium(Arc::clone(&self.source)));
        self.volume.set_progress(None);
        self.volume.event(EventKind::CopyFailed, format!("the swap was given up: {why}"));
        if source_is_gone {
            self.volume.lose(&self.source, error);
        }
        Refusal::new(format!("the swap was given up: {why}")).hint(format!(
            "volume {} is where it was: {}",
            self.volume.name(),
            self.source.medium.name()
        ))
    }
}
