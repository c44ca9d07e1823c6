//! A volume leaving its drive for good.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use hotbay_block::{BoxFuture, with_sources};

use crate::attachment::Departure;
use crate::event::EventKind;
use crate::failure::Refusal;
use crate::insertion::DEPARTURE_WAIT;
use crate::route::{Path, Route};
use crate::state::State;
use crate::volume::{Reach, Stay, Volume};

/// What a removal of a volume does where sessions have it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenOpen {
    /// It is refused.
    Refuse,
    /// They are closed: to their clients the disk is gone.
    Close,
}

/// What a removal of a volume does where its journal holds what no medium has, or is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenHeld {
    /// It is refused.
    Refuse,
    /// The journal stays where it is; the volume goes on with it when it is added again.
    Keep,
}

/// Whether what is kept of a volume that was removed is worth anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leavings {
    /// Everything is on its medium.
    Nothing,
    /// Its journal has what its medium has not, or is broken.
    Journal,
}

impl Volume {
    /// Ends the volume: its medium is synced and let go, its sessions, where that is asked for, are closed. `recorded` is awaited
    /// when nothing stands in the way any more and nothing has happened yet; from its success on the volume is no more.
    ///
    /// # Errors
    /// Where sessions have it open, or its journal holds something, and that is to be refused; where its medium cannot be synced, or
    /// `recorded` fails. Then the volume goes on.
    pub(crate) async fn retire(
        self: &Arc<Self>,
        when_open: WhenOpen,
        when_held: WhenHeld,
        recorded: BoxFuture<'_, Result<(), Refusal>>,
    ) -> Result<Leavings, Refusal> {
        self.may_leave(when_open)?;
        self.sync_beforehand().await;
        let mut stay = self.stay.lock().await;
        self.may_leave(when_open)?;
        let leavings = match self.state() {
            State::Failed => self.leave_broken_journal(when_held),
            _ => self.come_to_an_end(&mut stay, when_open, when_held).await,
        }?;
        if let Err(refusal) = recorded.await {
            self.go_on_as_before();
            return Err(refusal);
        }
        let departure = self.end(&mut stay).await;
        drop(stay);
        if let Some(mut departure) = departure {
            // Whatever looks at the medium lets go of it a moment later.
            let _ = departure.within(DEPARTURE_WAIT).await;
        }
        Ok(leavings)
    }

    fn may_leave(&self, when_open: WhenOpen) -> Result<(), Refusal> {
        let (name, state) = (self.name(), self.state());
        if matches!(state, State::Replaying | State::Copying) {
            return Err(Refusal::new(format!("volume {name} is {state}"))
                .hint(format!("'hotbay wait {name} present' waits for its end")));
        }
        if when_open == WhenOpen::Refuse && self.handles.load(SeqCst) > 0 {
            return Err(Refusal::new(format!("volume {name} is open in a session")).hint(format!(
                "detach it where it is used; or close its sessions with 'hotbay volume remove {name} --close-sessions': \
                 what they were told is safe stays on its medium"
            )));
        }
        Ok(())
    }

    fn leave_broken_journal(&self, when_held: WhenHeld) -> Result<Leavings, Refusal> {
        match when_held {
            WhenHeld::Keep => Ok(Leavings::Journal),
            WhenHeld::Refuse => {
                let name = self.name();
                Err(Refusal::new(format!("the journal of volume {name} is broken")).hint(format!(
                    "'hotbay volume remove {name} --keep-journal' leaves it as it is, for 'hotbay journal export {name}'"
                )))
            }
        }
    }

    async fn come_to_an_end(
        &self,
        stay: &mut Stay,
        when_open: WhenOpen,
        when_held: WhenHeld,
    ) -> Result<Leavings, Refusal> {
        let attachment = self.current_attachment();
        self.come_to_rest(stay, attachment.as_ref()).await?;
        // Somebody may have come in between.
        let leavings = self.may_leave(when_open).and_then(|()| self.leavings(when_held));
        if leavings.is_err() {
            self.go_on_as_before();
        }
        leavings
    }

    fn leavings(&self, when_held: WhenHeld) -> Result<Leavings, Refusal> {
        let log = self.log();
        if log.is_empty() {
            return Ok(Leavings::Nothing);
        }
        if when_held == WhenHeld::Keep {
            return Ok(Leavings::Journal);
        }
        let (name, bytes) = (self.name(), log.usage().live_bytes);
        Err(Refusal::new(format!(
            "the journal of volume {name} holds {bytes} bytes that are on no medium"
        ))
        .hint(format!(
            "bring them to their medium with 'hotbay insert {name}'; or 'hotbay volume remove {name} --keep-journal' leaves the \
             journal where it is, and 'hotbay volume add' goes on with it"
        )))
    }

    /// Closes what is at rest. Whoever still has it open is told, and each request fails from now on.
    async fn end(&self, stay: &mut Stay) -> Option<Departure> {
        self.stopping.change(|stopping| *stopping = true);
        drop(self.dispute.lock().take());
        let route = self.route.load_full();
        let departure = route.attachment().map(|attachment| {
            drop(attachment.fence());
            attachment.leave_bay();
            stay.leave_behind(Reach::Own, attachment.departure());
            attachment.departure()
        });
        let (content, size_bytes) = (route.content + 1, route.size_bytes);
        drop(route);
        self.replace_route(Route { state: State::Absent, content, size_bytes, path: Path::Closed });
        self.contents.change(|now| *now = content);
        let _nobody_reclaims = self.reclaiming.stops().await;
        if let Some(log) = self.log.load_full()
            && let Err(error) = log.close().await
        {
            let text = format!("its journal could not be synced: {}", with_sources(&error));
            self.event(EventKind::Warning, text);
        }
        self.event(EventKind::Removed, "it is no volume of the drive any more");
        departure
    }
}
