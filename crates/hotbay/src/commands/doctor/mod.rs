//! `hotbay doctor`: looks at a machine, and says what to do.
//!
//! Each check is a function of its own that looks at one thing and changes nothing: those of the machine are in `machine`, those of
//! a drive in `drive`.

mod drive;
mod machine;

use std::fmt::Write as _;

use serde::Serialize;

use super::Daemon;
use super::output::{self, Colour, Colours};
use crate::cli::DoctorArgs;
use crate::config::{self, Config, Environment, Overrides};
use crate::control::{ControlReply, ControlRequest, Status};
use crate::failure::Failure;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// As it should be.
    Good,
    /// Something is missing that not everybody needs.
    Note,
    /// Something is to be done.
    Problem,
}

/// What a check has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// What was looked at, as a word for scripts.
    check: &'static str,
    verdict: Verdict,
    /// What was found, for people.
    found: String,
    /// What to do about it.
    advice: Option<String>,
}

impl Finding {
    fn good(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Good, found: found.into(), advice: None }
    }

    fn note(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        let advice = Some(advice.into());
        Self { check, verdict: Verdict::Note, found: found.into(), advice }
    }

    fn problem(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Problem, ..Self::note(check, found, advice) }
    }

    /// What a failure says.
    fn failed(check: &'static str, failure: &Failure) -> Self {
        let advice = failure.hint().map(str::to_owned);
        Self { check, verdict: Verdict::Problem, found: failure.message().to_owned(), advice }
    }
}

/// Looks at the machine and the drive, and tells.
///
/// # Errors
/// Where something is to be done.
pub(crate) fn run(
    daemon: &Daemon,
    arguments: DoctorArgs,
    environment: &Environment,
) -> Result<(), Failure> {
    let findings = examine(daemon, arguments.config, arguments.state, environment);
    match arguments.json {
        true => output::print_json(&findings)?,
        false => output::print(&describe(&findings, Colours::of_output()))?,
    }
    match findings.iter().filter(|finding| finding.verdict == Verdict::Problem).count() {
        0 => Ok(()),
        1 => Err(Failure::new("there is one problem")),
        count => Err(Failure::new(format!("there are {count} problems"))),
    }
}

fn examine(
    daemon: &Daemon,
    file: Option<std::path::PathBuf>,
    state: Option<std::path::PathBuf>,
    environment: &Environment,
) -> Vec<Finding> {
    let overrides = Overrides { state, ..Overrides::default() };
    let config = config::load(file.as_deref(), overrides, environment);
    let mut findings = machine::findings(config.as_ref().ok().map(|config| config.layout));
    findings.push(configuration(file.as_deref(), &config));
    let status = status(daemon);
    findings.push(drive::daemon(&status));
    if let Ok(config) = &config {
        findings.extend(drive::state_findings(config));
    }
    match (&status, &config) {
        (Ok(status), _) => findings.extend(drive::volumes(status)),
        (Err(_), Ok(config)) => findings.extend(drive::kept_journals(&config.state)),
        (Err(_), Err(_)) => {}
    }
    findings
}

fn configuration(file: Option<&std::path::Path>, config: &Result<Config, Failure>) -> Finding {
    match (config, file) {
        (Err(failure), _) => Finding::failed("configuration", failure),
        (Ok(config), Some(file)) => {
            let volumes = config.volumes.len();
            Finding::good(
                "configuration",
                format!("{} is right, volumes: {volumes}", file.display()),
            )
        }
        (Ok(_), None) => Finding::note(
            "configuration",
            "no file was named, so the defaults were looked at",
            "name it: 'hotbay doctor /etc/hotbay.toml'",
        ),
    }
}

fn status(daemon: &Daemon) -> Result<Status, Failure> {
    let request = ControlRequest::Status { volume: None };
    match daemon.connect()?.ask(&request, |_| Ok(()))? {
        ControlReply::Status(status) => Ok(status),
        other => Err(super::unexpected(&other)),
    }
}

fn describe(findings: &[Finding], colours: Colours) -> String {
    let mut text = String::new();
    for Finding { check, verdict, found, advice } in findings {
        let (word, colour) = match verdict {
            Verdict::Good => ("good   ", Colour::Good),
            Verdict::Note => ("note   ", Colour::Busy),
            Verdict::Problem => ("problem", Colour::Bad),
        };
        _ = writeln!(text, "{}  {check}: {found}", colours.paint(colour, word));
        if let Some(advice) = advice {
            _ = writeln!(text, "         {advice}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_and_its_advice_another() {
        let findings = [Finding::good("a", "fine"), Finding::problem("b", "broken", "mend it")];
        let text = describe(&findings, Colours::Off);
        assert_eq!(text, "good     a: fine\nproblem  b: broken\n         mend it\n");
    }
}
