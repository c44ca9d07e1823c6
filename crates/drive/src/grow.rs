//! Growing: a volume and its medium become larger while clients go on.
//!
//! NBD has no word for another size: to whom the volume is open already is told nothing. But requests may reach up to the new
//! end at once, so that a client that hears of it in another way, as the kernel's does, goes on in the session that it has.
//!
//! What is to come is recorded before the medium grows, and the new size after it. So after a crash in between the medium, which is
//! larger than the volume then, is taken for the volume's own, and growing it again completes it.

use std::sync::Arc;

use hotbay_block::{Error, ErrorKind};
use tokio::time::timeout;

use crate::attachment::Attachment;
use crate::event::EventKind;
use crate::failure::Refusal;
use crate::route::Route;
use crate::state::State;
use crate::under_way::Doing;
use crate::volume::{Stay, Volume};

impl Volume {
    /// Makes the volume and the medium that it is on `size_bytes` long, with zeroes behind what was there. Requests wait for a
    /// moment. Of the size that it has already it stays.
    ///
    /// # Errors
    /// Where the volume is not present or larger already, and where the medium cannot grow: then it is as it was.
    pub(crate) async fn grow(self: &Arc<Self>, size_bytes: u64) -> Result<(), Refusal> {
        self.must_be_able_to_grow(size_bytes)?;
        self.sync_beforehand().await;
        let mut stay = self.stay.lock().await;
        self.must_be_able_to_grow(size_bytes)?;
        let Some(attachment) = self.current_attachment() else { return Ok(()) };
        let before = self.route.load_full();
        if before.size_bytes == size_bytes {
            return Ok(());
        }
        self.come_to_rest(&mut stay, Some(&attachment)).await?;
        let grown = self.grow_at_rest(&mut stay, &attachment, size_bytes).await;
        if !self.is_current(&attachment) {
            return grown;
        }
        if grown.is_ok() {
            let Route { state, content, ref path, .. } = *before;
            self.replace_route(Route { state, content, size_bytes, path: path.clone() });
        }
        self.go_on_as_before();
        grown?;
        let text = format!(
            "it has {size_bytes} bytes now; sessions that are open were told its earlier size"
        );
        self.event(EventKind::Grown, text);
        Ok(())
    }

    fn must_be_able_to_grow(&self, size_bytes: u64) -> Result<(), Refusal> {
        let (name, state, now) = (self.name(), self.state(), self.route.load().size_bytes);
        if state != State::Present {
            let message = format!("volume {name} is {state}, and grows on its medium alone");
            return Err(
                Refusal::new(message).hint(format!("'hotbay wait {name} present' waits for it"))
            );
        }
        if size_bytes < now {
            return Err(Refusal::new(format!("volume {name} has {now} bytes, more than {size_bytes}"))
                .hint("a volume does not shrink; 'hotbay swap VOLUME MEDIUM --as-is' puts a smaller medium in its place"
                    .replace("VOLUME", name)));
        }
        Ok(())
    }

    async fn grow_at_rest(
        &self,
        stay: &mut Stay,
        attachment: &Arc<Attachment>,
        size_bytes: u64,
    ) -> Result<(), Refusal> {
        self.update_record(|record| record.grows_to = Some(size_bytes)).await?;
        let asked = attachment
            .ask(Doing::Other("the request to grow"), move |medium| medium.grow(size_bytes));
        // Clients wait meanwhile: one that takes too long is lost.
        let grown = timeout(self.settings().pause_max(), async {
            tokio::select! {
                biased;
                grown = asked => grown,
                () = attachment.lost() => None,
            }
        });
        let grown = grown.await.ok().flatten();
        let gone = || Err(Error::new(ErrorKind::Gone, "the medium does not answer"));
        if let Err(error) = grown.unwrap_or_else(gone) {
            if error.kind() == ErrorKind::Gone {
                self.lost(stay, Arc::clone(attachment), &error).await;
            } else {
                self.update_record_or_warn(|record| record.grows_to = None).await;
            }
            let name = attachment.medium.name();
            return Err(Refusal::new(format!("{name} cannot grow: {}", error.with_sources()))
                .hint(
                    "nothing has changed; a regular file can grow where its file system has room",
                ));
        }
        self.renew_record(stay, |record| {
            record.size_bytes = size_bytes;
            record.grows_to = None;
            if let Some(identity) = &mut record.identity {
                identity.size_bytes = size_bytes;
            }
        })
        .await
    }

    /// Tells where a medium of this size is in and its volume is smaller.
    pub(crate) fn tell_if_half_grown(&self, size_bytes: u64) {
        if size_bytes == self.route.load().size_bytes {
            return;
        }
        let name = self.name();
        self.event(
            EventKind::Warning,
            format!(
                "its medium has grown to {size_bytes} bytes and it has not; 'hotbay volume grow {name} {size_bytes}' completes that"
            ),
        );
    }
}
