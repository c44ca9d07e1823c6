//! `hotbay top`: the drive on a whole terminal, live.
//!
//! `model` is what is shown and what a key means, as data; `view` draws it; here are the terminal, the daemon and the clock.
//! One loop draws, waits for a key for as long as nothing is to be asked, and asks. A wish of the operator is carried out
//! on a thread of its own, so that the screen goes on; there is one at a time.

mod model;
mod rates;
mod view;

use std::io::IsTerminal as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event as TerminalEvent, KeyEventKind};

use self::model::{Effect, Key, Model, Wish};
use super::Daemon;
use crate::control::{
    ControlReply, ControlRequest, Event, Follow, MediumIs, Occupied, Status, SwapContent,
};
use crate::failure::Failure;

/// How often the daemon is asked.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Shows the drive until `q`.
///
/// # Errors
/// Where there is no terminal, or no daemon answers at the start. One that goes away later is shown as that.
pub(crate) fn run(daemon: &Daemon) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() {
        return Err(Failure::new("standard output is no terminal")
            .with_hint("for scripts: 'hotbay status --json', 'hotbay events --follow --json'"));
    }
    let mut model = Model::default();
    model.take_status(ask_status(daemon)?, Instant::now());
    let cannot = |error| Failure::new(format!("cannot use the terminal: {error}"));
    let mut terminal = ratatui::try_init().map_err(cannot)?;
    let ended = watch(&mut terminal, daemon, model).map_err(cannot);
    ratatui::restore();
    ended
}

fn watch(terminal: &mut DefaultTerminal, daemon: &Daemon, mut model: Model) -> std::io::Result<()> {
    let mut next_ask = Instant::now();
    let (ended_in, ended) = mpsc::sync_channel(1);
    loop {
        if Instant::now() >= next_ask {
            ask(daemon, &mut model);
            next_ask = Instant::now() + ASK_EVERY;
        }
        if let Ok(note) = ended.try_recv() {
            model.end_wish(note);
            next_ask = Instant::now();
        }
        terminal.draw(|frame| view::draw(frame, &model))?;
        if !event::poll(next_ask.saturating_duration_since(Instant::now()))? {
            continue;
        }
        let Some(key) = key(&event::read()?) else { continue };
        match model.press(key) {
            Effect::None => {}
            Effect::Quit => return Ok(()),
            Effect::CarryOut(wish) => {
                let (daemon, ended) = (daemon.clone(), ended_in.clone());
                std::thread::spawn(move || {
                    // Whoever has quit does not want to know.
                    let _ = ended.send(carry_out(&daemon, &wish));
                });
            }
        }
    }
}

fn key(event: &TerminalEvent) -> Option<Key> {
    use ratatui::crossterm::event::{KeyCode, KeyModifiers};
    let TerminalEvent::Key(key) = event else { return None };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    Some(match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Key::Interrupt,
        KeyCode::Char(letter) => Key::Letter(letter),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Enter => Key::Enter,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Esc => Key::Escape,
        _ => return None,
    })
}

/// Asks for all that is shown. Where that fails the screen says so, and what was there before stays.
fn ask(daemon: &Daemon, model: &mut Model) {
    match ask_status(daemon) {
        Ok(status) => model.take_status(status, Instant::now()),
        Err(failure) => return model.lose_daemon(failure.message()),
    }
    if let Ok(events) = ask_events(daemon, model.last_sequence()) {
        model.take_events(events);
    }
}

fn ask_status(daemon: &Daemon) -> Result<Status, Failure> {
    match daemon.connect()?.ask(&ControlRequest::Status { volume: None }, |_| Ok(()))? {
        ControlReply::Status(status) => Ok(status),
        other => Err(super::unexpected(&other)),
    }
}

fn ask_events(daemon: &Daemon, after_sequence: u64) -> Result<Vec<Event>, Failure> {
    let mut events = Vec::new();
    let request = ControlRequest::Events { after_sequence, follow: Follow::Stop };
    daemon.connect()?.ask(&request, |reply| {
        if let ControlReply::Event(event) = reply {
            events.push(event);
        }
        Ok(())
    })?;
    Ok(events)
}

/// Carries out what the operator wants; what is to be said about it.
fn carry_out(daemon: &Daemon, wish: &Wish) -> String {
    let volume = wish.volume().to_owned();
    let request = match wish {
        Wish::Eject(_) => ControlRequest::Eject { volume },
        Wish::Insert(_) => {
            let (occupied, medium_is) = (Occupied::Refuse, MediumIs::Own);
            ControlRequest::Insert { volume, medium: None, occupied, medium_is }
        }
        Wish::Swap(_, medium) => {
            ControlRequest::Swap { volume, medium: medium.clone(), content: SwapContent::Copy }
        }
    };
    let reply = daemon.connect().and_then(|mut client| client.ask(&request, |_| Ok(())));
    match reply {
        Ok(ControlReply::Done { volume, state }) => format!("{volume} is {state}"),
        Ok(other) => super::unexpected(&other).message().to_owned(),
        Err(failure) => match failure.hint() {
            None => failure.message().to_owned(),
            Some(hint) => format!("{}; {hint}", failure.message()),
        },
    }
}
