//! `hotbay reload`.

use super::{Daemon, output, unexpected};
use crate::control::{ControlReply, ControlRequest, ReloadEffect, ReloadedDifference};
use crate::failure::Failure;

/// Lets the daemon read its configuration again, and shows what became of each difference.
///
/// # Errors
/// Where the configuration is wrong, and where something was refused.
pub(crate) fn run(daemon: &Daemon) -> Result<(), Failure> {
    let reply = daemon.ask_for_work(&ControlRequest::Reload {})?;
    let ControlReply::Reloaded { differences } = reply else { return Err(unexpected(&reply)) };
    if differences.is_empty() {
        return output::print_line("nothing has changed");
    }
    differences.iter().try_for_each(|difference| output::print_line(described(difference)))?;
    let is_refused = |difference: &&ReloadedDifference| difference.effect == ReloadEffect::Refused;
    match differences.iter().filter(is_refused).count() {
        0 => Ok(()),
        count => {
            Err(Failure::new(format!("{count} of {} changes were refused", differences.len()))
                .with_hint(
                    "all others were made; when the reason is gone, 'hotbay reload' tries again",
                ))
        }
    }
}

fn described(difference: &ReloadedDifference) -> String {
    let ReloadedDifference { volume, key, before, after, effect, why } = difference;
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
    let what = match (volume, key.as_str(), before) {
        (Some(volume), "volume", None) => format!("volume {volume} comes"),
        (Some(volume), "volume", Some(_)) => format!("volume {volume} goes"),
        (Some(volume), key, before) => {
            format!("volume {volume}: {key} {} -> {}", value(before), value(after))
        }
        (None, key, before) => format!("{key} {} -> {}", value(before), value(after)),
    };
    let why = why.as_deref().unwrap_or_default();
    match effect {
        ReloadEffect::Live => what,
        ReloadEffect::NewSessions => format!("{what}, for sessions that begin from now on"),
        ReloadEffect::NotLive => format!("not now: {what}: {why}"),
        ReloadEffect::Refused => format!("refused: {what}: {why}"),
    }
}
