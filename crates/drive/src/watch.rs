//! Watching a volume: a medium that vanished without any I/O, one that came back, and what is done now and then.

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::ErrorKind;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::attachment::Attachment;
use crate::insertion::Recognition;
use crate::settings::AutoInsert;
use crate::state::State;
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
pub(crate) async fn watch(volume: Arc<Volume>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut steady_since = Instant::now();
    for number in 0u64.. {
        ticks.tick().await;
        if volume.log.load_full().is_some_and(|log| log.wants_reclaim()) {
            volume.reclaim_soon();
        }
        if let Some(attachment) = volume.current_attachment() {
            look_at_medium(&volume, &attachment).await;
            if number % REST_TICKS == 0 {
                attachment.rest();
            }
            if steady_since.elapsed() > STEADY {
                volume.notes.lock().losses_in_a_row = 0;
            }
        } else {
            steady_since = Instant::now();
            if volume.state() == State::Absent {
                look_for_medium(&volume).await;
            }
        }
    }
}

async fn look_at_medium(volume: &Arc<Volume>, attachment: &Arc<Attachment>) {
    let Some(visit) = attachment.visit() else { return };
    let presence = attachment.medium.presence().await;
    drop(visit);
    if let Err(error) = presence
        && error.kind() == ErrorKind::Gone
    {
        volume.lose(attachment, error);
    }
}

async fn look_for_medium(volume: &Arc<Volume>) {
    if volume.settings.auto_insert == AutoInsert::Never {
        return;
    }
    let name = volume.usual_medium().await;
    let is_there = volume.around.source.is_there(&name, volume.name());
    let may_return = volume.notes.lock().may_return;
    match may_return {
        MayReturn::OnceSeenAway => {
            if !is_there {
                volume.notes.lock().may_return = MayReturn::NotBefore(Instant::now());
            }
        }
        MayReturn::NotBefore(when) if is_there && when <= Instant::now() => {
            volume.notes.lock().may_return = MayReturn::NotBefore(Instant::now() + RETRY_PAUSE);
            put_back(volume).await;
        }
        MayReturn::NotBefore(_) => {}
    }
}

async fn put_back(volume: &Arc<Volume>) {
    let Some(place) = volume.around.bays.take(volume.name()) else { return };
    // A refusal that an operator should know of is an event already; others end by themselves.
    if let Err(refusal) = volume.insert(None, place, Recognition::TheSame).await {
        tracing::debug!(volume = volume.name(), "not put back: {refusal}");
    }
}
