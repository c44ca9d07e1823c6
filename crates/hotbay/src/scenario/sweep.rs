//! A run of a scenario for each point at which the medium may be pulled.

use futures_util::{StreamExt as _, stream};
use hotbay_media::FaultSpec;

use super::file::{AsPulled, Scenario};
use super::play::{Play, Played};
use crate::commands::output;
use crate::failure::Failure;

/// Which points are tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct SweepSettings {
    /// Each so-many-th.
    pub(super) every: u64,
    /// At most so many.
    pub(super) limit: Option<u64>,
    /// So many at a time.
    pub(super) parallel: usize,
}

/// What was found at a point.
struct Found {
    write: u64,
    played: Result<Played, Failure>,
}

/// Sweeps, tells what is found, and counts what is wrong.
///
/// # Errors
/// Where the scenario is none for a sweep, or fails with nothing pulled.
pub(super) async fn sweep(scenario: &Scenario, settings: SweepSettings) -> Result<usize, Failure> {
    if !scenario.step.is_empty() {
        return Err(Failure::new("a scenario with steps cannot be swept")
            .with_hint("a sweep pulls the medium itself; leave [[step]] away"));
    }
    let fault = |write: u64| pull_at(&scenario.sweep.fault, write);
    fault(1)?;
    let whole = Play::of(scenario).play().await?;
    output::print_line(format_args!("with nothing pulled: {}", whole.summary))?;
    if let Some(wrong) = whole.wrongs.first() {
        return Err(Failure::new(format!("it fails with nothing pulled: {wrong}")));
    }
    let writes = whole.medium_writes;
    let step = usize::try_from(settings.every).unwrap_or(usize::MAX);
    let limit =
        settings.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let points: Vec<u64> = (1..=writes).step_by(step).take(limit).collect();
    let tried = points.len();
    output::print_line(format_args!(
        "the medium is written {writes} times; `{}` at {tried} of them",
        scenario.sweep.fault
    ))?;
    let mut found = stream::iter(points)
        .map(|write| async move {
            let played = match fault(write) {
                Ok(fault) => Play::pulled_by(scenario, &fault).play().await,
                Err(failure) => Err(failure),
            };
            Found { write, played }
        })
        .buffered(settings.parallel);
    let mut tally = Tally::default();
    while let Some(found) = found.next().await {
        tally.enter(scenario, found)?;
    }
    tally.tell(scenario, tried)
}

/// The fault that pulls the medium at a write.
fn pull_at(fault: &str, write: u64) -> Result<FaultSpec, Failure> {
    let spec = format!("{fault} on write {write}").parse::<FaultSpec>();
    spec.map_err(|error| Failure::new(format!("sweep.fault = \"{fault}\": {error}"))).and_then(
        |spec| match spec.takes_the_medium_away() {
            true => Ok(spec),
            false => Err(Failure::new(format!("sweep.fault = \"{fault}\" pulls nothing"))
                .with_hint("write vanish, torn, torn SIZE or lose-unsynced")),
        },
    )
}

/// What was found at all points.
#[derive(Default)]
struct Tally {
    /// Points after which something was lost, or could not go on.
    wrong: usize,
    /// Points at which the check fails on the medium as it was pulled.
    as_pulled: usize,
}

impl Tally {
    fn enter(&mut self, scenario: &Scenario, found: Found) -> Result<(), Failure> {
        let Found { write, played } = found;
        let played = match played {
            Ok(played) => played,
            Err(failure) => {
                self.wrong += 1;
                return output::print_line(format_args!("  write {write}: {}", failure.message()));
            }
        };
        if let Some(Err(why)) = &played.as_pulled {
            self.as_pulled += 1;
            let weight = match scenario.sweep.as_pulled {
                AsPulled::MustPass => "wrong",
                AsPulled::Report => "found",
            };
            output::print_line(format_args!("  write {write}: {weight}: as it was pulled: {why}"))?;
        }
        self.wrong += usize::from(!played.wrongs.is_empty());
        for wrong in &played.wrongs {
            output::print_line(format_args!("  write {write}: wrong: {wrong}"))?;
        }
        Ok(())
    }

    fn tell(self, scenario: &Scenario, tried: usize) -> Result<usize, Failure> {
        let Self { wrong, as_pulled } = self;
        output::print_line(format_args!(
            "{tried} pulls: the check fails on the medium as it was pulled after {as_pulled}; \
             after the replay something is wrong after {wrong}"
        ))?;
        Ok(match scenario.sweep.as_pulled {
            AsPulled::MustPass => wrong + as_pulled,
            AsPulled::Report => wrong,
        })
    }
}
