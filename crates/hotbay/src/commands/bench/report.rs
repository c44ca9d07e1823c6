//! What is told of a load, to a person or to a script.

use std::time::Duration;

use serde::Serialize;

use super::load::Load;
use super::measured::{Kind, Outcome, Tally};
use crate::cli::BenchArgs;
use crate::commands::output::{self, Colours};
use crate::commands::table::{Cell, table};
use crate::failure::Failure;

/// A client that uses so much of a core measures itself.
const FULL_PERCENT: f64 = 90.0;

/// The latencies that are told.
const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

/// One line of JSON.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    uri: String,
    work: String,
    block_bytes: u32,
    depth: usize,
    sessions: usize,
    elapsed_ms: f64,
    client_core_percent: f64,
    kinds: Vec<KindDocument>,
}

/// What there is of one kind of request.
#[derive(Debug, Serialize)]
struct KindDocument {
    kind: &'static str,
    requests: u64,
    errors: u64,
    requests_per_second: f64,
    bytes_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
}

/// Tells it, as the command line wants it.
///
/// # Errors
/// Those of standard output.
pub(super) fn tell(arguments: &BenchArgs, load: &Load, outcome: &Outcome) -> Result<(), Failure> {
    if arguments.json {
        output::print_json(&document(arguments, load, outcome))
    } else {
        output::print(&text(arguments, load, outcome, Colours::of_output()))
    }
}

pub(super) fn document(arguments: &BenchArgs, load: &Load, outcome: &Outcome) -> Document {
    Document {
        uri: arguments.uri.to_string(),
        work: load.to_string(),
        block_bytes: load.block_bytes,
        depth: load.depth,
        sessions: load.sessions,
        elapsed_ms: outcome.elapsed.as_secs_f64() * 1e3,
        client_core_percent: core_percent(outcome),
        kinds: shown(outcome)
            .map(|(kind, tally)| kind_document(kind, tally, load, outcome))
            .collect(),
    }
}

fn kind_document(kind: Kind, tally: &Tally, load: &Load, outcome: &Outcome) -> KindDocument {
    let [p50_us, p99_us, p999_us] = QUANTILES.map(|share| micros(tally.quantile_ns(share)));
    let requests_per_second = per_second(tally.requests(), outcome.elapsed);
    KindDocument {
        kind: kind.name(),
        requests: tally.requests(),
        errors: tally.errors,
        requests_per_second,
        bytes_per_second: requests_per_second * f64::from(bytes_of(kind, load)),
        p50_us,
        p99_us,
        p999_us,
        max_us: micros(tally.max_ns()),
    }
}

pub(super) fn text(
    arguments: &BenchArgs,
    load: &Load,
    outcome: &Outcome,
    colours: Colours,
) -> String {
    let headings = ["REQUEST", "COUNT", "RATE", "MB/S", "P50", "P99", "P99.9", "MAX", "ERRORS"];
    let rows = shown(outcome).map(|(kind, tally)| row(kind, tally, load, outcome)).collect();
    let uri = &arguments.uri;
    let seconds = outcome.elapsed.as_secs_f64();
    let mut text = format!("{uri}\n{load}, {seconds:.1} s\n\n{}", table(headings, rows, colours));
    let percent = core_percent(outcome);
    text.push_str(&format!("\nthe busiest session of this client used {percent:.0} % of a core\n"));
    if percent >= FULL_PERCENT {
        text.push_str(
            "so that is what was measured: more --sessions may show more of the server\n",
        );
    }
    text
}

fn row(kind: Kind, tally: &Tally, load: &Load, outcome: &Outcome) -> [Cell; 9] {
    let rate = per_second(tally.requests(), outcome.elapsed);
    let megabytes = rate * f64::from(bytes_of(kind, load)) / 1e6;
    let [p50, p99, p999] = QUANTILES.map(|share| human_latency(tally.quantile_ns(share)).into());
    [
        kind.name().into(),
        tally.requests().to_string().into(),
        format!("{rate:.0}/s").into(),
        Cell::or_dash((kind != Kind::Flush).then(|| format!("{megabytes:.1}"))),
        p50,
        p99,
        p999,
        human_latency(tally.max_ns()).into(),
        tally.errors.to_string().into(),
    ]
}

/// The kinds of which there was any answer.
fn shown(outcome: &Outcome) -> impl Iterator<Item = (Kind, &Tally)> {
    let all = Kind::ALL.into_iter().map(|kind| (kind, outcome.measured.tally(kind)));
    all.filter(|(_, tally)| tally.requests() + tally.errors > 0)
}

fn bytes_of(kind: Kind, load: &Load) -> u32 {
    match kind {
        Kind::Flush => 0,
        Kind::Read | Kind::Write => load.block_bytes,
    }
}

fn per_second(requests: u64, elapsed: Duration) -> f64 {
    requests as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
}

fn core_percent(outcome: &Outcome) -> f64 {
    100.0 * outcome.busiest_cpu.as_secs_f64() / outcome.elapsed.as_secs_f64().max(1e-9)
}

fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

/// A latency for a person.
fn human_latency(nanoseconds: u64) -> String {
    match nanoseconds {
        0..10_000 => format!("{:.1}µs", micros(nanoseconds)),
        10_000..10_000_000 => format!("{:.0}µs", micros(nanoseconds)),
        10_000_000..10_000_000_000 => format!("{:.0}ms", micros(nanoseconds) / 1e3),
        _ => format!("{:.0}s", micros(nanoseconds) / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_for_a_person() {
        for (nanoseconds, text) in [
            (850, "0.8µs"),
            (25_400, "25µs"),
            (9_999_999, "10000µs"),
            (31_000_000, "31ms"),
            (12_000_000_000, "12s"),
        ] {
            assert_eq!(human_latency(nanoseconds), text);
        }
    }
}
