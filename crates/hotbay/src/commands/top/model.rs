//! What `hotbay top` shows, and what a key means.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::rates::{Forecast, Rates};
use crate::control::{Event, State, Status, VolumeStatus};

/// How many events are remembered: more than any terminal has lines.
const EVENTS_MAX: usize = 500;
/// The longest medium that is typed, in characters.
const TYPED_MAX: usize = 4096;

/// A key, as far as one means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Letter(char),
    Up,
    Down,
    Enter,
    Backspace,
    Escape,
    /// Ctrl-C.
    Interrupt,
}

/// What an operator wants of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Eject(String),
    Insert(String),
    /// To this medium.
    Swap(String, String),
}

impl Wish {
    pub(super) fn volume(&self) -> &str {
        match self {
            Self::Eject(volume) | Self::Insert(volume) | Self::Swap(volume, _) => volume,
        }
    }

    /// As a command, which is what it is.
    pub(super) fn command(&self) -> String {
        match self {
            Self::Eject(volume) => format!("hotbay eject {volume}"),
            Self::Insert(volume) => format!("hotbay insert {volume}"),
            Self::Swap(volume, medium) => format!("hotbay swap {volume} {medium}"),
        }
    }
}

/// What keys mean now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// The keys at the bottom of the screen.
    #[default]
    Watching,
    /// The medium that this volume is to be swapped to is being typed.
    Typing(String, String),
    /// Yes or no.
    Confirming(Wish),
}

/// What is to be done about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    Quit,
    CarryOut(Wish),
}

/// What is shown.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) status: Option<Status>,
    /// Why no daemon answers.
    pub(super) trouble: Option<String>,
    pub(super) events: VecDeque<Event>,
    pub(super) mode: Mode,
    /// The wish that is being carried out.
    pub(super) under_way: Option<Wish>,
    /// What came of the last one.
    pub(super) note: Option<String>,
    selected: usize,
    rates: BTreeMap<String, Rates>,
    forecasts: BTreeMap<String, Forecast>,
    asked: Option<Instant>,
}

impl Model {
    /// Takes what the daemon says.
    pub(super) fn take_status(&mut self, status: Status, now: Instant) {
        for export in &status.exports {
            self.rates.entry(export.name.clone()).or_default().take(export, now);
        }
        self.forecasts.retain(|name, _| {
            status.volumes.iter().any(|volume| volume.name == *name && volume.progress.is_some())
        });
        for volume in &status.volumes {
            if let Some(work) = volume.progress {
                let new = || Forecast::new(work, now);
                self.forecasts.entry(volume.name.clone()).or_insert_with(new);
            }
        }
        self.selected = self.selected.min(status.volumes.len().saturating_sub(1));
        if self.trouble.take().is_some() {
            // Another daemon numbers its events anew.
            self.events.clear();
        }
        self.status = Some(status);
        self.asked = Some(now);
    }

    /// Takes events that follow the last one.
    pub(super) fn take_events(&mut self, events: Vec<Event>) {
        self.events.extend(events);
        let surplus = self.events.len().saturating_sub(EVENTS_MAX);
        self.events.drain(..surplus);
    }

    pub(super) fn last_sequence(&self) -> u64 {
        self.events.back().map_or(0, |event| event.sequence)
    }

    /// No daemon answers.
    pub(super) fn lose_daemon(&mut self, why: &str) {
        self.trouble = Some(why.to_owned());
    }

    /// A wish was carried out, or refused.
    pub(super) fn end_wish(&mut self, note: String) {
        self.under_way = None;
        self.note = Some(note);
    }

    pub(super) fn volumes(&self) -> &[VolumeStatus] {
        self.status.as_ref().map_or(&[], |status| &status.volumes)
    }

    pub(super) fn is_selected(&self, volume: &VolumeStatus) -> bool {
        self.selected().is_some_and(|selected| selected.name == volume.name)
    }

    pub(super) fn selected(&self) -> Option<&VolumeStatus> {
        self.volumes().get(self.selected)
    }

    /// The speed of the export that the volume is, or is a part of.
    pub(super) fn rates_of(&self, volume: &VolumeStatus) -> Option<&Rates> {
        self.rates.get(&volume.export)
    }

    /// How many seconds a volume's replay or copy will take.
    pub(super) fn seconds_left(&self, volume: &VolumeStatus) -> Option<u64> {
        self.forecasts.get(&volume.name)?.seconds_left(volume.progress?, self.asked?)
    }

    /// What a key does.
    pub(super) fn press(&mut self, key: Key) -> Effect {
        if key == Key::Interrupt {
            return Effect::Quit;
        }
        match std::mem::take(&mut self.mode) {
            Mode::Watching => self.press_watching(key),
            Mode::Typing(volume, typed) => self.press_typing(key, volume, typed),
            Mode::Confirming(wish) => self.press_confirming(key, wish),
        }
    }

    fn press_watching(&mut self, key: Key) -> Effect {
        self.note = None;
        match key {
            Key::Letter('q') | Key::Escape => return Effect::Quit,
            Key::Down | Key::Letter('j') => {
                self.selected = (self.selected + 1).min(self.volumes().len().saturating_sub(1));
            }
            Key::Up | Key::Letter('k') => self.selected = self.selected.saturating_sub(1),
            Key::Letter(letter) => self.begin_wish(letter),
            Key::Enter | Key::Backspace | Key::Interrupt => {}
        }
        Effect::None
    }

    /// Asks before anything is done; one thing at a time.
    fn begin_wish(&mut self, letter: char) {
        let Some(volume) = self.selected().map(|volume| volume.name.clone()) else { return };
        let mode = match letter {
            'e' => Mode::Confirming(Wish::Eject(volume)),
            'i' => Mode::Confirming(Wish::Insert(volume)),
            's' => Mode::Typing(volume, String::new()),
            _ => return,
        };
        match &self.under_way {
            None => self.mode = mode,
            Some(wish) => self.note = Some(format!("'{}' is still under way", wish.command())),
        }
    }

    fn press_typing(&mut self, key: Key, volume: String, mut typed: String) -> Effect {
        match key {
            Key::Escape => return Effect::None,
            Key::Enter if typed.trim().is_empty() => return Effect::None,
            Key::Enter => {
                self.mode = Mode::Confirming(Wish::Swap(volume, typed.trim().to_owned()));
                return Effect::None;
            }
            Key::Backspace => _ = typed.pop(),
            Key::Letter(letter) if typed.chars().count() < TYPED_MAX => typed.push(letter),
            Key::Letter(_) | Key::Up | Key::Down | Key::Interrupt => {}
        }
        self.mode = Mode::Typing(volume, typed);
        Effect::None
    }

    /// Only `y` is a yes.
    fn press_confirming(&mut self, key: Key, wish: Wish) -> Effect {
        if key != Key::Letter('y') {
            self.note = Some("nothing was done".into());
            return Effect::None;
        }
        self.under_way = Some(wish.clone());
        Effect::CarryOut(wish)
    }
}

/// Whether a medium is in the volume's bay.
pub(super) const fn has_medium(state: State) -> bool {
    matches!(state, State::Present | State::Replaying | State::Copying)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::control::JournalStatus;

    pub(in super::super) fn volume(name: &str, state: State, bay: Option<u32>) -> VolumeStatus {
        VolumeStatus {
            name: name.into(),
            export: name.into(),
            state,
            medium: Some(format!("file:/srv/{name}.img")),
            bay,
            attachment: bay.map(u64::from),
            size_bytes: 64 << 20,
            sessions: 1,
            waiting_for_medium: false,
            waiting_for_room: None,
            waiting_requests: 0,
            retained_bytes: 0,
            oldest_retained_ms: None,
            last_loss: None,
            conflict: None,
            hung: None,
            faults: Vec::new(),
            copy: None,
            journal: JournalStatus {
                live_bytes: 256 << 20,
                disk_bytes: 512 << 20,
                limit_bytes: 1 << 30,
                extents: 3,
            },
            progress: None,
        }
    }

    pub(in super::super) fn status(volumes: Vec<VolumeStatus>) -> Status {
        Status {
            drive: "shelf".into(),
            bays: 2,
            layout: "volumes".into(),
            listen: Vec::new(),
            metrics: None,
            exports: Vec::new(),
            volumes,
        }
    }

    fn two_volumes() -> Model {
        let mut model = Model::default();
        let volumes =
            vec![volume("usb", State::Present, Some(1)), volume("b", State::Absent, None)];
        model.take_status(status(volumes), Instant::now());
        model
    }

    /// Presses the keys one after the other; what the last one does.
    fn press(model: &mut Model, keys: &str) -> Effect {
        let mut effect = Effect::None;
        for letter in keys.chars() {
            effect = model.press(match letter {
                '\n' => Key::Enter,
                '<' => Key::Backspace,
                '!' => Key::Escape,
                'v' => Key::Down,
                letter => Key::Letter(letter),
            });
        }
        effect
    }

    #[test]
    fn nothing_is_done_without_a_yes() {
        for keys in ["e", "en", "e\n", "e!", "i", "s/x\n", "s/x\nn", "s\ny", "s/x!y"] {
            let mut model = two_volumes();
            assert_eq!(press(&mut model, keys), Effect::None, "{keys:?}");
            assert_eq!(model.under_way, None, "{keys:?}");
        }
    }

    #[test]
    fn a_yes_carries_out_what_was_asked_for_the_selected_volume() {
        let wish = |keys| press(&mut two_volumes(), keys);
        assert_eq!(wish("ey"), Effect::CarryOut(Wish::Eject("usb".into())));
        assert_eq!(wish("viy"), Effect::CarryOut(Wish::Insert("b".into())));
        assert_eq!(wish("vvvkey"), Effect::CarryOut(Wish::Eject("usb".into())));
        let swap = Wish::Swap("usb".into(), "/new.img".into());
        assert_eq!(wish("s/new.imx<g \ny"), Effect::CarryOut(swap));
        assert_eq!(wish("q"), Effect::Quit);
        assert_eq!(two_volumes().press(Key::Interrupt), Effect::Quit);
    }

    #[test]
    fn one_wish_is_carried_out_at_a_time() {
        let mut model = two_volumes();
        press(&mut model, "ey");
        assert_eq!(press(&mut model, "iy"), Effect::None);
        model.end_wish("usb is absent".into());
        assert_eq!(press(&mut model, "iy"), Effect::CarryOut(Wish::Insert("usb".into())));
    }

    #[test]
    fn the_events_of_another_daemon_begin_anew() {
        let mut model = two_volumes();
        let event = |sequence| Event {
            sequence,
            time_unix_ms: 0,
            volume: None,
            kind: "lost".into(),
            text: String::new(),
        };
        model.take_events((1..=600).map(event).collect());
        assert_eq!((model.events.len(), model.last_sequence()), (EVENTS_MAX, 600));
        model.lose_daemon("gone");
        model.take_status(status(Vec::new()), Instant::now());
        assert_eq!(model.last_sequence(), 0);
        assert_eq!(press(&mut model, "ey"), Effect::None, "there is no volume any more");
    }
}
