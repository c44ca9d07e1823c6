//! Watching a volume: a medium that vanished without any I/O, one that came back, and what is done now and then.

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::{Error, ErrorKind};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::attachment::Attachment;
use crate::insertion::Recognition;
use crate::journal_log::blocking;
use crate::settings::AutoInsert;
use crate::state::State;
use crate::under_way::Doing;
use crate::volume::{MayReturn, Volume};

/// How often a volume is looked at.
const TICK: Duration = Duration::from_millis(250);

/// After how many ticks without a change spare memory is given back.
const REST_TICKS: u64 = 20;

/// How long after a failed attempt a medium is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// A stay of this long ends a row of losses.
const STEADY: Duration = Duration::from_secs(60);

/// Watches a volume for ever; to be run as a task and dropped at the end.
///
/// Nothing is waited for here: a look at a medium that hangs goes on beside this, and until it has ended there is no other.
pub(crate) async fn watch(volume: Arc<Volume>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut steady_since = Instant::now();
    let mut looks = JoinSet::new();
    for number in 0u64.. {
        ticks.tick().await;
        volume.look_for_hung_io();
        if volume.log.load_full().is_some_and(|log| log.may_want_reclaim()) {
            volume.reclaim_soon();
        }
        if volume.is_stopping() {
            looks.abort_all();
            continue;
        }
        while looks.try_join_next().is_some() {}
        if let Some(attachment) = volume.current_attachment() {
            if looks.is_empty() {
                looks.spawn(look_at_medium(Arc::clone(&volume), Arc::clone(&attachment)));
            }
            if number % REST_TICKS == 0 {
                attachment.rest();
            }
            if steady_since.elapsed() > STEADY {
                volume.notes.lock().losses_in_a_row = 0;
            }
        } else {
            steady_since = Instant::now();
            if volume.state() == State::Absent && looks.is_empty() {
                looks.spawn(look_for_medium(Arc::clone(&volume)));
            }
        }
    }
}

impl Volume {
    /// Takes I/O that has not been answered in time for a loss of the medium, or for a failure of the journal.
    fn look_for_hung_io(self: &Arc<Self>) {
        let deadline = self.settings.io_deadline;
        if let Some(attachment) = self.current_attachment()
            && let Some(hung) = attachment.under_way.hung(deadline)
        {
            self.lose(&attachment, Error::new(ErrorKind::Gone, hung.to_string()));
        }
        if let Some(log) = self.log.load_full()
            && let Some(hung) = log.hung(deadline)
        {
            self.give_up_journal(&log, &hung.to_string());
        }
    }
}

async fn look_at_medium(volume: Arc<Volume>, attachment: Arc<Attachment>) {
    let Some(visit) = attachment.visit() else { return };
    let presence = attachment.ask(Doing::Presence, |medium| medium.presence()).await;
    drop(visit);
    if let Some(Err(error)) = presence
        && error.kind() == ErrorKind::Gone
    {
        volume.lose(&attachment, error);
    }
}

async fn look_for_medium(volume: Arc<Volume>) {
    if volume.settings.auto_insert == AutoInsert::Never {
        return;
    }
    let name = volume.usual_medium().await;
    // It cannot be put in while I/O of its last stay hangs, and it may not answer a look either.
    if volume.is_something_left_behind(&name) {
        return;
    }
    let is_there = is_there(&volume, name).await;
    let may_return = volume.notes.lock().may_return;
    match may_return {
        MayReturn::OnceSeenAway => {
            if !is_there {
                volume.notes.lock().may_return = MayReturn::NotBefore(Instant::now());
            }
        }
        MayReturn::NotBefore(when) if is_there && when <= Instant::now() => {
            volume.notes.lock().may_return = MayReturn::NotBefore(Instant::now() + RETRY_PAUSE);
            put_back(&volume).await;
        }
        MayReturn::NotBefore(_) => {}
    }
}

/// On a thread that may wait: the look may meet a network that does not answer.
async fn is_there(volume: &Volume, medium: String) -> bool {
    let (source, name) = (Arc::clone(&volume.around.source), volume.name().to_owned());
    blocking(move || source.is_there(&medium, &name)).await
}

async fn put_back(volume: &Arc<Volume>) {
    let Some(place) = volume.around.bays.take(volume.name()) else { return };
    // A refusal that an operator should know of is an event already; others end by themselves.
    if let Err(refusal) = volume.insert(None, place, Recognition::TheSame).await {
        tracing::debug!(volume = volume.name(), "not put back: {refusal}");
    }
}
