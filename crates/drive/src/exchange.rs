//! Swap as it is: another content in place of this one.
//!
//! What clients know of the earlier content must never reach the new one, so the content's number goes up with the
//! route: sessions of the earlier content are closed, and each request that they still make fails.

use std::sync::Arc;

use crate::bay::BayPlace;
use crate::event::EventKind;
use crate::failure::Refusal;
use crate::route::{Path, Route};
use crate::state::{State, Trigger};
use crate::volume::Volume;

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
        if !self.journal_is_settled().await {
            let name = self.name();
            return Err(Refusal::new(format!(
                "the journal of volume {name} holds changes that are on no medium"
            ))
            .hint(format!("bring them to their medium first: hotbay insert {name}")));
        }
        let old = self.current_attachment();
        let opened = match &old {
            Some(_) => self.around.source.open(medium, self.name()).await,
            None => Ok(self.open_medium(&mut stay, medium).await?),
        };
        let target = opened.map_err(|error| Refusal::new(error.with_sources()))?;
        let identified = target.identify().await;
        let identity = identified.map_err(|error| Refusal::new(error.with_sources()))?;
        let size_bytes = target.info().size_bytes;

        if let Some(old) = &old {
            self.drain(old).await?;
            if let Err(error) = self.settle(old).await {
                let why = error.with_sources();
                self.lost(&mut stay, Arc::clone(old), &error).await;
                return Err(Refusal::new(format!(
                    "{} could not be synced: {why}",
                    old.medium.name()
                ))
                .hint("it counts as lost; what it may not have is kept in the journal"));
            }
        }
        let recorded = self.update_record(|record| {
            record.medium = Some(medium.to_owned());
            record.in_bay = true;
            record.size_bytes = size_bytes;
            record.identity = Some(identity);
            record.identity_unsettled = false;
        });
        if let Err(refusal) = recorded.await {
            if let Some(old) = &old {
                self.stay_after_all(old);
            }
            return Err(refusal);
        }
        let earlier_place = old.as_ref().and_then(|old| {
            drop(old.fence());
            stay.left_behind.extend(old.departure());
            old.leave_bay()
        });
        let Some(place) = earlier_place.or(place) else {
            return Err(Refusal::new(format!("no bay is free for volume {}", self.name())));
        };
        let attachment = self.attach(&mut stay, target, place);
        let content = self.route.load().content + 1;
        let path = Path::Medium(attachment);
        self.replace_route(Route { state: State::Present, content, size_bytes, path });
        self.contents.send_replace(content);
        self.event(
            EventKind::Exchanged,
            format!("{medium} is in as it is; its sessions were closed"),
        );
        Ok(())
    }

    /// Whether the journal is empty and nothing is on its way to it. Where it is not, its gate is open again.
    async fn journal_is_settled(&self) -> bool {
        let route = self.route.load_full();
        let Path::Journal { gate, .. } = &route.path else { return self.log().is_empty() };
        gate.close();
        gate.drained().await;
        let settled = self.log().is_empty();
        if !settled {
            gate.open();
            self.set_route(route.state, route.path.clone());
        }
        settled
    }
}
