//! Watching a volume: a medium that vanished without any I/O, one that came back, and what is done now and then.

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::{Error, ErrorKind};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use crate::attachment::Attachment;
use crate::insertion::Recognition;
use crate::journal_log::blocking;
use crate::removal::RETURN_PAUSE;
use crate::settings::AutoInsert;
use crate::state::State;
use crate::told::Told;
use crate::under_way::Doing;
use crate::volume::{MayReturn, Volume};

/// How often a volume is looked at.
const TICK: Duration = Duration::from_millis(250);

/// The shortest time between two looks that somebody asked for; a disk that is plugged in makes news by the dozen.
const TOLD_PAUSE: Duration = Duration::from_millis(50);

/// After how many ticks without a change spare memory is given back.
const REST_TICKS: u64 = 20;

/// How long after a failed attempt a medium is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// A stay of this long ends a row of losses.
const STEADY: Duration = Duration::from_secs(60);

/// Why a volume is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prompt {
    /// It was time for it.
    Tick,
    /// Somebody knows that media have come or gone.
    Told,
}

/// When a volume is to be looked at.
struct Prompts {
    ticks: Interval,
    looks: Arc<Told<u64>>,
    seen: u64,
    not_told_before: Instant,
}

impl Prompts {
    fn of(volume: &Volume) -> Self {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let looks = Arc::clone(&volume.around.looks);
        let seen = looks.get();
        Self { ticks, looks, seen, not_told_before: Instant::now() }
    }

    async fn next(&mut self) -> Prompt {
        let told = async {
            sleep_until(self.not_told_before).await;
            self.looks.until(|looks| looks != self.seen).await
        };
        tokio::select! {
            biased;
            looks = told => {
                self.seen = looks;
                self.not_told_before = Instant::now() + TOLD_PAUSE;
                Prompt::Told
            }
            _ = self.ticks.tick() => Prompt::Tick,
        }
    }
}

/// The looks at a volume's medium that are under way: one of each prompt at most. So one that hangs keeps its own kind
/// alone from being repeated.
#[derive(Default)]
struct Looks {
    on_tick: JoinSet<()>,
    on_told: JoinSet<()>,
}

impl Looks {
    fn begin(&mut self, prompt: Prompt, look: impl Future<Output = ()> + Send + 'static) {
        let looks = match prompt {
            Prompt::Tick => &mut self.on_tick,
            Prompt::Told => &mut self.on_told,
        };
        while looks.try_join_next().is_some() {}
        if looks.is_empty() {
            looks.spawn(look);
        }
    }

    fn abort(&mut self) {
        self.on_tick.abort_all();
        self.on_told.abort_all();
    }
}

/// Watches a volume for ever; to be run as a task and dropped at the end.
///
/// Nothing is waited for here: a look at a medium that hangs goes on beside this.
pub(crate) async fn watch(volume: Arc<Volume>) {
    let mut prompts = Prompts::of(&volume);
    let mut looks = Looks::default();
    let mut steady_since = Instant::now();
    let mut ticks = 0_u64;
    loop {
        let prompt = prompts.next().await;
        if prompt == Prompt::Tick {
            volume.see_to(ticks, &mut steady_since);
            ticks += 1;
        }
        if volume.is_stopping() {
            looks.abort();
        } else if let Some(attachment) = volume.current_attachment() {
            looks.begin(prompt, look_at_medium(Arc::clone(&volume), attachment, prompt));
        } else if volume.state() == State::Absent {
            looks.begin(prompt, look_for_medium(Arc::clone(&volume)));
        } else if volume.state() == State::Conflict {
            let volume = Arc::clone(&volume);
            looks.begin(prompt, async move { volume.look_for_disputed().await });
        }
    }
}

impl Volume {
    /// What is done now and then, at tick `number`.
    fn see_to(self: &Arc<Self>, number: u64, steady_since: &mut Instant) {
        self.look_for_hung_io();
        // A replay makes room itself, and its end, for which clients wait, must not wait for a file to go.
        if self.state() != State::Replaying
            && self.log.load_full().is_some_and(|log| log.may_want_reclaim())
        {
            self.reclaim_soon();
        }
        let Some(attachment) = self.current_attachment() else {
            *steady_since = Instant::now();
            return;
        };
        if number.is_multiple_of(REST_TICKS) && !self.is_stopping() && attachment.rest() {
            self.observe_soon(&attachment);
        }
        if steady_since.elapsed() > STEADY {
            self.notes.lock().losses_in_a_row = 0;
        }
    }

    /// Takes I/O that has not been answered in time for a loss of the medium, or for a failure of the journal.
    fn look_for_hung_io(self: &Arc<Self>) {
        let deadline = self.settings().io_deadline;
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

impl Volume {
    /// Whether a medium can be found. On a thread that may wait: the look may meet a network that does not answer.
    pub(crate) async fn is_there(&self, medium: String) -> bool {
        let (source, name) = (Arc::clone(&self.around.source), self.name().to_owned());
        blocking(move || source.is_there(&medium, &name)).await
    }
}

async fn look_at_medium(volume: Arc<Volume>, attachment: Arc<Attachment>, prompt: Prompt) {
    let Some(visit) = attachment.visit() else { return };
    let presence = attachment.ask(Doing::Presence, |medium| medium.presence()).await;
    drop(visit);
    if let Some(Err(error)) = presence
        && error.kind() == ErrorKind::Gone
    {
        let seen = match prompt {
            Prompt::Tick => error,
            Prompt::Told => Error::new(ErrorKind::Gone, "devices have changed").caused_by(error),
        };
        volume.lose(&attachment, seen);
    }
}

async fn look_for_medium(volume: Arc<Volume>) {
    if volume.settings().auto_insert == AutoInsert::Never {
        return;
    }
    let name = volume.usual_medium().await;
    // It cannot be put in while I/O of its last stay hangs, and it may not answer a look either.
    if volume.is_something_left_behind(&name) {
        return;
    }
    let is_there = volume.is_there(name).await;
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
        // What was pulled out is not what fails again and again: it need not wait for longer than the shortest pause.
        MayReturn::NotBefore(when) if !is_there => {
            let soon = when.min(Instant::now() + RETURN_PAUSE);
            volume.notes.lock().may_return = MayReturn::NotBefore(soon);
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
