//! Swap as it is: another content in place of this one.
//!
//! What clients know of the earlier content must never reach the new one, so the content's number goes up with the
//! route: sessions of the earlier content are closed, and each request that they still make fails. Until the
//! record on stable storage names the new medium, the volume is on the earlier one.

use std::sync::Arc;

use hotbay_block::{Identity, Medium};

use crate::bay::BayPlace;
use crate::event::EventKind;
use crate::failure::Refusal;
use crate::observed::Observed;
use crate::route::{Path, Route};
use crate::state::{State, Trigger};
use crate::volume::{Reach, Stay, Volume};
use crate::witness::Witness;

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
        self.must_have_empty_journal()?;
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
        self.begin_content(&mut stay, target, place, content, size_bytes);
        Ok(())
    }

    /// Sends requests to a medium as it is, which is another content to clients: sessions are closed. For a volume at rest whose
    /// record says so already; `size_bytes` is the volume's from now on.
    pub(crate) fn begin_content(
        self: &Arc<Self>,
        stay: &mut Stay,
        medium: Arc<dyn Medium>,
        place: BayPlace,
        content: u64,
        size_bytes: u64,
    ) {
        let (name, medium_bytes) = (medium.name().to_owned(), medium.info().size_bytes);
        let observed = Observed::new(medium_bytes, &Witness::default());
        let attachment = self.attach(stay, medium, place, observed);
        let path = Path::Medium(Arc::clone(&attachment));
        self.replace_route(Route { state: State::Present, content, size_bytes, path });
        self.contents.change(|now| *now = content);
        self.observe_soon(&attachment);
        self.event(EventKind::Exchanged, format!("{name} is in as it is; sessions were closed"));
        self.tell_if_half_grown(medium_bytes);
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

    /// Refuses where something of the earlier content is left that only the journal has. For a volume at rest, which
    /// goes on as before then.
    fn must_have_empty_journal(&self) -> Result<(), Refusal> {
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

    /// Makes the new medium the volume's own on stable storage, with an empty journal of its size.
    async fn take_over(
        &self,
        stay: &mut Stay,
        medium: &str,
        identity: Identity,
        content: u64,
    ) -> Result<(), Refusal> {
        self.renew_record(stay, |record| {
            record.size_bytes = identity.size_bytes;
            record.go_to(medium, identity, content);
        })
        .await
    }
}
