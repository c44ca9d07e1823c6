//! How it looks: the bays with what is in them, the volumes, the selected one's speed, and what happened.

use std::time::{Duration, SystemTime};

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph, Row, Sparkline, Table};

use super::super::output::human_size;
use super::super::progress::percent;
use super::super::room;
use super::model::{Mode, Model, has_medium};
use super::rates::{Rates, Step};
use crate::control::{CopyStatus, Event, State, Status, VolumeStatus};

/// The narrowest that a bay is drawn.
const BAY_COLUMNS: u16 = 22;
const BAY_LINES: u16 = 5;
const GAUGE_CELLS: usize = 12;
const KEYS: &str = "↑↓ select   e eject   i insert   s swap   q quit";

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let Some(status) = &model.status else { return };
    let volumes = u16::try_from(status.volumes.len()).unwrap_or(u16::MAX).saturating_add(3);
    let [title, bays, table, speed, events, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(BAY_LINES),
        Constraint::Length(volumes),
        Constraint::Length(6),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_title(frame, title, status, model.trouble.as_deref());
    draw_bays(frame, bays, status);
    draw_volumes(frame, table, model);
    draw_speed(frame, speed, model);
    draw_events(frame, events, model);
    draw_bottom(frame, bottom, model);
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, status: &Status, trouble: Option<&str>) {
    let name =
        Span::styled(format!(" {} ", status.drive), Style::new().add_modifier(Modifier::BOLD));
    let rest = match trouble {
        None => Span::raw(format!("layout {}", status.layout)),
        Some(why) => Span::styled(why.to_owned(), colour(State::Failed)),
    };
    frame.render_widget(Line::from(vec![name, rest]), area);
}

/// The bays in a row, each as wide as the others; those for which there is no room are counted.
fn draw_bays(frame: &mut Frame<'_>, area: Rect, status: &Status) {
    let bays = usize::try_from(status.bays).unwrap_or(usize::MAX);
    let shown = bays.min(usize::from((area.width / BAY_COLUMNS).max(1)));
    let areas = Layout::horizontal(vec![Constraint::Fill(1); shown]).split(area);
    for (place, area) in areas.iter().enumerate() {
        let number = u32::try_from(place + 1).unwrap_or(u32::MAX);
        let volume = status.volumes.iter().find(|volume| volume.bay == Some(number));
        let hidden = if place + 1 == shown { bays - shown } else { 0 };
        draw_bay(frame, *area, number, volume, hidden);
    }
}

fn draw_bay(
    frame: &mut Frame<'_>,
    area: Rect,
    number: u32,
    volume: Option<&VolumeStatus>,
    hidden: usize,
) {
    let mut block = Block::bordered().title(format!(" bay {number} "));
    if hidden > 0 {
        block = block.title_bottom(Line::from(format!(" and {hidden} more ")).right_aligned());
    }
    let lines = match volume {
        None => vec![Line::from(""), Line::from("empty")],
        Some(volume) => {
            block = block.border_type(BorderType::Thick).border_style(colour(volume.state));
            vec![
                Line::styled(volume.name.clone(), Style::new().add_modifier(Modifier::BOLD)),
                Line::from(volume.medium.as_deref().map(short).unwrap_or_default().to_owned()),
                Line::styled(volume.state.to_string(), colour(volume.state)),
            ]
        }
    };
    frame.render_widget(Paragraph::new(lines).alignment(Alignment::Center).block(block), area);
}

/// A medium's name without what a person does not need, from its end where it is a path.
fn short(medium: &str) -> &str {
    let path = medium.strip_prefix("file:").unwrap_or(medium);
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn draw_volumes(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let headings =
        ["", "VOLUME", "STATE", "SIZE", "SESSIONS", "WAITING", "NOT SYNCED", "JOURNAL", "", ""];
    let widths = [1, 14, 9, 9, 8, 7, 10, 12, 18].map(Constraint::Length);
    let widths = widths.into_iter().chain([Constraint::Fill(1)]);
    let rows = model.volumes().iter().map(|volume| row(volume, model));
    let headings = Row::new(headings).style(Style::new().add_modifier(Modifier::DIM));
    let table = Table::new(rows, widths).header(headings);
    frame.render_widget(table.block(Block::bordered().title(" volumes ")), area);
}

fn row<'a>(volume: &'a VolumeStatus, model: &Model) -> Row<'a> {
    let selected = model.is_selected(volume);
    let journal = &volume.journal;
    let row = Row::new(vec![
        Span::raw(if selected { "▶" } else { " " }),
        Span::raw(volume.name.as_str()),
        Span::styled(volume.state.to_string(), colour(volume.state)),
        Span::raw(human_size(volume.size_bytes)),
        Span::raw(volume.sessions.to_string()),
        Span::raw(volume.waiting_requests.to_string()),
        Span::raw(human_size(volume.retained_bytes)),
        Span::styled(gauge(journal.live_bytes, journal.limit_bytes), colour(volume.state)),
        Span::raw(format!(
            "{} of {}",
            human_size(journal.live_bytes),
            human_size(journal.limit_bytes)
        )),
        remark(volume, model.seconds_left(volume)),
    ]);
    if selected { row.style(Style::new().add_modifier(Modifier::BOLD)) } else { row }
}

/// What is to be done about a volume, or what it is doing.
fn remark(volume: &VolumeStatus, seconds_left: Option<u64>) -> Span<'static> {
    let attention = Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD);
    if let Some(why) = &volume.conflict {
        let name = &volume.name;
        let text = format!("hotbay resolve {name} replay|discard: {why}");
        return Span::styled(text, colour(State::Conflict));
    }
    if volume.waiting_for_medium {
        return Span::styled("please insert", attention);
    }
    if let Some(waiting) = &volume.waiting_for_room {
        return Span::styled(room::in_short(waiting), attention);
    }
    let Some(work) = volume.progress else {
        return match (volume.state, &volume.last_loss, &volume.copy) {
            (State::Failed, Some(why), _) => Span::styled(why.clone(), colour(State::Failed)),
            (_, _, Some(CopyStatus { in_sync: false, behind_bytes, .. })) => {
                Span::styled(format!("behind by up to {}", human_size(*behind_bytes)), attention)
            }
            _ => Span::default(),
        };
    };
    let bar = gauge(work.done_bytes, work.total_bytes);
    let percent = percent(work.done_bytes, work.total_bytes);
    let left = seconds_left.map_or_else(String::new, |seconds| {
        format!(", {} left", humantime::format_duration(Duration::from_secs(seconds)))
    });
    Span::styled(format!("{bar} {percent}%{left}"), colour(volume.state))
}

fn gauge(part: u64, whole: u64) -> String {
    let percent = usize::try_from(percent(part, whole)).unwrap_or_default().min(100);
    let full = if whole == 0 { 0 } else { (percent * GAUGE_CELLS).div_ceil(100) };
    format!("{}{}", "█".repeat(full), "░".repeat(GAUGE_CELLS - full))
}

fn draw_speed(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let Some(volume) = model.selected() else { return };
    let Some(rates) = model.rates_of(volume) else { return };
    let latest = rates.latest();
    let areas: [Rect; 3] = Layout::horizontal([Constraint::Fill(1); 3]).areas(area);
    let read = format!(" {} reads {}/s ", volume.export, human_size(latest.read_bytes_per_s));
    let written = format!(" writes {}/s ", human_size(latest.written_bytes_per_s));
    let latency =
        format!(" latency {} µs, {} requests/s ", latest.latency_us, latest.requests_per_s);
    draw_chart(frame, areas[0], &read, Color::Green, rates, |step| step.read_bytes_per_s);
    draw_chart(frame, areas[1], &written, Color::Blue, rates, |step| step.written_bytes_per_s);
    draw_chart(frame, areas[2], &latency, Color::Magenta, rates, |step| step.latency_us);
}

/// The newest steps, as many as there are columns.
fn draw_chart(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &str,
    colour: Color,
    rates: &Rates,
    value: fn(&Step) -> u64,
) {
    let columns = usize::from(area.width.saturating_sub(2));
    let newest = rates.steps.iter().skip(rates.steps.len().saturating_sub(columns));
    let chart = Sparkline::default()
        .data(newest.map(value).collect::<Vec<u64>>())
        .style(Style::new().fg(colour));
    frame.render_widget(chart.block(Block::bordered().title(title)), area);
}

/// The newest events at the bottom, as many as there is room for.
fn draw_events(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let lines = usize::from(area.height.saturating_sub(2));
    let newest = model.events.iter().skip(model.events.len().saturating_sub(lines));
    let lines: Vec<Line<'_>> = newest.map(event_line).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" events ")), area);
}

fn event_line(event: &Event) -> Line<'_> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(event.time_unix_ms.min(1 << 47));
    let time = humantime::format_rfc3339_seconds(time).to_string();
    let clock = time.get(11..19).unwrap_or_default().to_owned();
    let volume = event.volume.as_deref().unwrap_or("-");
    Line::from(vec![
        Span::styled(clock, Style::new().add_modifier(Modifier::DIM)),
        Span::raw(format!("  {volume}  ")),
        Span::styled(event.kind.as_str(), event_colour(&event.kind)),
        Span::raw(format!("  {}", event.text)),
    ])
}

fn event_colour(kind: &str) -> Style {
    match kind {
        "failed" | "conflict" => colour(State::Failed),
        "lost" | "please-insert" | "warning" | "journal-full" | "journal-watermark" => {
            Style::new().fg(Color::Yellow)
        }
        _ => Style::new().fg(Color::Cyan),
    }
}

fn draw_bottom(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let strong = Style::new().add_modifier(Modifier::REVERSED);
    let line = match (&model.mode, &model.under_way, &model.note) {
        (Mode::Typing(volume, typed), ..) => {
            Line::styled(format!(" swap {volume} to which medium? {typed}█  (Esc: none)"), strong)
        }
        (Mode::Confirming(wish), ..) => {
            Line::styled(format!(" {}   y: do it, any other key: do not", wish.command()), strong)
        }
        (Mode::Watching, Some(wish), None) => Line::from(format!(" {} …", wish.command())),
        (Mode::Watching, _, Some(note)) => Line::from(format!(" {note}")),
        (Mode::Watching, None, None) => {
            Line::styled(format!(" {KEYS}"), Style::new().add_modifier(Modifier::DIM))
        }
    };
    frame.render_widget(line, area);
}

fn colour(state: State) -> Style {
    Style::new().fg(match state {
        State::Present => Color::Green,
        State::Absent => Color::Yellow,
        State::Conflict | State::Failed => Color::Red,
        state if has_medium(state) => Color::Cyan,
        _ => Color::Reset,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::model::tests::{status, volume};
    use super::super::model::{Effect, Key};
    use super::*;
    use crate::control::{ExportStatus, OperationStatus, WaitingForRoom, WhatIsFull, WorkDone};

    /// The screen as lines of text.
    fn screen(model: &Model, columns: u16, lines: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
        terminal.draw(|frame| draw(frame, model)).unwrap();
        let buffer = terminal.backend().buffer();
        let cells: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
        cells.chunks(columns.into()).map(|line| line.concat().trim_end().to_owned()).collect()
    }

    fn shows(screen: &[String], text: &str) {
        assert!(
            screen.iter().any(|line| line.contains(text)),
            "{text:?} in\n{}",
            screen.join("\n")
        );
    }

    fn one_in_one_out() -> Model {
        let mut model = Model::default();
        let mut away = volume("backup", State::Absent, None);
        (away.waiting_for_medium, away.waiting_requests) = (true, 3);
        model.take_status(
            status(vec![volume("usb", State::Present, Some(1)), away]),
            Instant::now(),
        );
        model
    }

    #[test]
    fn what_is_to_be_known_of_a_volume_is_beside_it() {
        let mut changed = volume("usb", State::Conflict, Some(1));
        changed.conflict = Some("it was changed elsewhere".to_owned());
        let mut behind = volume("copy", State::Absent, None);
        behind.copy =
            Some(CopyStatus { mirror: "shelf".to_owned(), in_sync: false, behind_bytes: 3 << 20 });
        let mut full = volume("scratch", State::Absent, None);
        full.waiting_for_room = Some(WaitingForRoom {
            full: WhatIsFull::Journal,
            requests: 3,
            age_ms: 2000,
            only_in_memory_bytes: 0,
        });
        let mut model = Model::default();
        model.take_status(status(vec![changed, behind, full]), Instant::now());
        let screen = screen(&model, 170, 30);
        shows(&screen, "journal full, 3 wait");
        shows(&screen, "hotbay resolve usb replay|discard: it was changed elsewhere");
        shows(&screen, "behind by up to 3 MiB");
    }

    #[test]
    fn bays_show_what_is_in_them() {
        let screen = screen(&one_in_one_out(), 130, 30);
        shows(&screen, "┏ bay 1 ━");
        shows(&screen, "usb.img");
        shows(&screen, "┌ bay 2 ─");
        shows(&screen, "empty");
        shows(&screen, "shelf layout volumes");
    }

    #[test]
    fn a_volume_shows_its_journal_and_what_it_waits_for() {
        let screen = screen(&one_in_one_out(), 130, 30);
        shows(&screen, "▶ usb");
        shows(&screen, "███░░░░░░░░░");
        let away = screen.iter().find(|line| line.contains("backup")).unwrap();
        assert!(away.contains("absent") && away.contains("please insert"), "{away}");
        shows(&screen, KEYS);
    }

    #[test]
    fn a_replay_shows_how_far_it_is_and_what_is_left() {
        let (mut model, begun) = (Model::default(), Instant::now());
        let mut replaying = volume("usb", State::Replaying, Some(1));
        for (seconds, done_bytes) in [(0, 0), (1, 25)] {
            replaying.progress = Some(WorkDone { done_bytes, total_bytes: 100 });
            let now = begun + Duration::from_secs(seconds);
            model.take_status(status(vec![replaying.clone()]), now);
        }
        shows(&screen(&model, 130, 30), "███░░░░░░░░░ 25%, 3s left");
    }

    #[test]
    fn the_speed_of_the_selected_volume_is_drawn() {
        let (mut model, begun) = (Model::default(), Instant::now());
        for second in 0..3 {
            let mut status = status(vec![volume("usb", State::Present, Some(1))]);
            let reads = OperationStatus {
                requests: second * 10,
                bytes: second << 20,
                errors: 0,
                time_us: second * 500,
            };
            status.exports =
                vec![ExportStatus { name: "usb".into(), reads, ..ExportStatus::default() }];
            model.take_status(status, begun + Duration::from_secs(second));
        }
        let screen = screen(&model, 130, 30);
        shows(&screen, "usb reads 1 MiB/s");
        shows(&screen, "latency 50 µs, 10 requests/s");
        shows(&screen, "██");
    }

    #[test]
    fn a_wish_asks_before_and_a_lost_daemon_is_told() {
        let mut model = one_in_one_out();
        assert_eq!(model.press(Key::Letter('e')), Effect::None);
        shows(&screen(&model, 130, 30), "hotbay eject usb   y: do it");
        model.lose_daemon("no hotbay daemon answers at /run/c.sock");
        shows(&screen(&model, 130, 30), "no hotbay daemon answers");
    }

    #[test]
    fn any_size_of_terminal_will_do() {
        let model = one_in_one_out();
        for (columns, lines) in [(1, 1), (3, 50), (200, 2), (40, 12), (400, 100)] {
            screen(&model, columns, lines);
        }
    }
}
