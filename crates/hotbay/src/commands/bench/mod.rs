//! `hotbay bench`: a load of NBD requests, and how the server bore it.
//!
//! One thread for each session and nothing between it and the socket ([`session`]): what is to be measured is the server,
//! so that a request may cost the client little. It holds no more than a histogram for each kind of request, however
//! long it runs. Data that is read is received and dropped, not compared: the tests do that.

mod connection;
mod encrypted;
mod load;
mod measured;
mod order;
mod report;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::cli::BenchArgs;
use crate::failure::Failure;
use crate::signals::StopSignal;
use connection::Connection;
use load::Load;
use measured::Outcome;
use session::Session;

/// Makes the load and tells what came of it.
///
/// # Errors
/// Where the export is not there or cannot do what is asked, where a session breaks, and where a request is answered
/// with an error; what was measured until then is told all the same.
pub(crate) fn run(arguments: &BenchArgs) -> Result<(), Failure> {
    let first = Connection::open(&arguments.uri)?;
    let load = Load::new(arguments, first.opened())?;
    let mut connections = vec![first];
    for _ in 1..load.sessions {
        connections.push(Connection::open(&arguments.uri)?);
    }
    let stop = stop_at_a_signal()?;
    let outcome = make(&load, connections, &stop)?;
    report::tell(arguments, &load, &outcome)?;
    outcome.verdict()
}

/// Makes the load over these connections, until its time is over or `stop` is set.
fn make(load: &Load, connections: Vec<Connection>, stop: &AtomicBool) -> Result<Outcome, Failure> {
    let payload = load.payload();
    let begin = Instant::now();
    let ended = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (number, connection) in connections.into_iter().enumerate() {
            let session = Session::new(connection, load, &payload, number)?;
            let spawned = std::thread::Builder::new()
                .name(format!("session {number}"))
                .spawn_scoped(scope, move || session.run(begin + load.time, stop));
            match spawned {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    return Err(Failure::new(format!("cannot start a thread: {error}")));
                }
            }
        }
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.collect::<Result<Vec<_>, _>>().map_err(|_| Failure::new("a session died"))
    })?;
    Ok(Outcome::new(begin.elapsed(), ended))
}

/// A flag that SIGINT and SIGTERM set, so that what was measured until then is told. A second one ends the process.
fn stop_at_a_signal() -> Result<Arc<AtomicBool>, Failure> {
    let cannot = |error| Failure::new(format!("cannot wait for signals: {error}"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(cannot)?;
    let mut signals = runtime.block_on(async { StopSignal::new() })?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let wait = move || {
        runtime.block_on(signals.received());
        flag.store(true, Ordering::Relaxed);
        runtime.block_on(signals.received());
        std::process::exit(130);
    };
    std::thread::Builder::new().name(String::from("signals")).spawn(wait).map_err(cannot)?;
    Ok(stop)
}

#[cfg(test)]
mod tests;
