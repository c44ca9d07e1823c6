//! What a resident does next: a state machine without clock, socket or kernel.
//!
//! ```text
//!              link died                    a link to the same content
//!  Attached ──────────────► Seeking ──────────────────────────────► Confirming ─► Attached
//!                            │   ▲ nobody, or another content          │ link died
//!                            │   └─────────────────────────────────────┘
//!                            └─ it took too long ─► the device is disconnected
//! ```
//! Every state ends when the device is not attached any more, whoever detached it.
//!
//! `Confirming` is there because the kernel silently does not take a socket where it has not yet marked the old one
//! as dead. So the same socket is offered once more a little later: where it was taken nothing happens.

use std::time::Duration;

use super::ContentId;

/// How long to wait before the next look for the daemon, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often to look whether the device is still attached; nobody tells.
const LOOK: Duration = Duration::from_secs(1);
/// When to offer a socket again.
const CONFIRM_AFTER: Duration = Duration::from_millis(200);

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Nothing, for as long as was waited.
    Clock,
    /// The kernel told that the connection is dead.
    LinkDied,
    /// The device is not what was attached any more.
    Detached,
    /// The daemon cannot be reached, for the reason given.
    Nobody(String),
    /// The daemon answers, and serves this, of this size in bytes.
    Found(ContentId, u64),
    /// The kernel has the offered socket, or did not need it.
    Taken,
    /// The kernel refused the offered socket, for the reason given.
    NotTaken(String),
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Wait for news of the kernel, at most so long.
    Watch(Duration),
    /// Connect to the daemon and negotiate.
    Seek,
    /// Hand the socket that was found to the kernel; with a size where the device grows.
    Offer(Option<u64>),
    /// Hand the same socket over once more, then forget it.
    OfferAgain,
    /// Disconnect the device: whatever waits fails.
    GiveUp,
    /// It is detached.
    End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Attached,
    Seeking(Search),
    Confirming,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Search {
    since: Duration,
    pause: Duration,
    /// What was told last about why it goes on; each reason is told once.
    told: String,
}

/// The state of one attachment.
#[derive(Clone, Debug)]
pub(super) struct Keeper {
    content: ContentId,
    size_bytes: u64,
    wait: Duration,
    state: State,
}

impl Keeper {
    /// Of a device whose kernel has a socket to this content; `wait` is how long the daemon may stay away.
    pub(super) fn new(content: ContentId, size_bytes: u64, wait: Duration) -> Self {
        Self { content, size_bytes, wait, state: State::Confirming }
    }

    /// What to do after an event, and what to tell. `now` is the time since some moment.
    pub(super) fn next(&mut self, now: Duration, event: Event) -> (Action, Option<String>) {
        if event == Event::Detached {
            return (Action::End, None);
        }
        match std::mem::replace(&mut self.state, State::Attached) {
            State::Seeking(search) => self.seek(now, event, search),
            State::Attached | State::Confirming if event == Event::LinkDied => self.begin(now),
            State::Attached => (Action::Watch(LOOK), None),
            State::Confirming if event == Event::Clock => (Action::OfferAgain, None),
            State::Confirming => {
                self.state = State::Confirming;
                (Action::Watch(CONFIRM_AFTER), None)
            }
        }
    }

    /// Whether requests wait for the daemon.
    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self.state, State::Seeking(_))
    }

    fn begin(&mut self, now: Duration) -> (Action, Option<String>) {
        let search = Search { since: now, pause: FIRST_PAUSE, told: String::new() };
        self.state = State::Seeking(search);
        let wait = humantime::format_duration(self.wait);
        let text = format!("the connection is dead; requests wait up to {wait} for the daemon");
        (Action::Seek, Some(text))
    }

    fn seek(&mut self, now: Duration, event: Event, search: Search) -> (Action, Option<String>) {
        let away = now.saturating_sub(search.since);
        if away >= self.wait && event != Event::Taken {
            let wait = humantime::format_duration(self.wait);
            let why = Some(search.told).filter(|told| !told.is_empty());
            let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
            return (
                Action::GiveUp,
                Some(format!("disconnected: no daemon in {wait}{why}; what waited has failed")),
            );
        }
        match event {
            Event::Found(content, size) => match self.refusal(content, size) {
                Some(why) => self.try_later(search, why),
                None => {
                    let grown = (size > self.size_bytes).then_some(size);
                    self.size_bytes = size;
                    self.state = State::Seeking(search);
                    (Action::Offer(grown), None)
                }
            },
            Event::Taken => {
                self.state = State::Confirming;
                let away = humantime::format_duration(Duration::from_millis(
                    u64::try_from(away.as_millis()).unwrap_or(u64::MAX),
                ));
                (Action::Watch(CONFIRM_AFTER), Some(format!("connected again after {away}")))
            }
            Event::NotTaken(why) => self.try_later(search, format!("the kernel refuses: {why}")),
            // That nobody answers is what is waited for to change, and was told.
            Event::Nobody(_) => {
                let told = search.told.clone();
                self.try_later(search, told)
            }
            Event::Clock | Event::LinkDied | Event::Detached => {
                self.state = State::Seeking(search);
                (Action::Seek, None)
            }
        }
    }

    /// Why what was found must not take the place of what is attached.
    fn refusal(&self, found: ContentId, size_bytes: u64) -> Option<String> {
        let Self { content, size_bytes: had, .. } = self;
        if found.id != content.id {
            return Some(format!(
                "it serves another volume of that name: {found}, attached is {content}"
            ));
        }
        if found.content != content.content {
            return Some(
                "another content was put in its place; detach, and attach anew".to_owned(),
            );
        }
        (size_bytes < *had).then(|| format!("it has shrunk from {had} to {size_bytes} bytes"))
    }

    fn try_later(&mut self, search: Search, why: String) -> (Action, Option<String>) {
        let news = (why != search.told).then(|| format!("not connected again: {why}"));
        let pause = search.pause;
        self.state =
            State::Seeking(Search { pause: (pause * 2).min(LONGEST_PAUSE), told: why, ..search });
        (Action::Watch(pause), news)
    }
}

#[cfg(test)]
mod tests;
