//! What differs between the configuration that the daemon runs with and another one, as data; and what of it can count at once.

use std::fmt;

use super::resolve::Config;
use super::summary::{Line, lines, volume_lines};
use super::value::{Layout, Name};

/// A key whose value differs, or a volume that only one of the two has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The volume that it is about; `None`: the drive.
    pub(crate) volume: Option<Name>,
    /// The key; `volume` for a volume that comes or goes, `order` for the order of the volumes.
    pub(crate) key: &'static str,
    /// Its value now; `None` for a volume that comes.
    pub(crate) before: Option<String>,
    /// Its value then; `None` for a volume that goes.
    pub(crate) after: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = || "none".to_owned();
        match (&self.volume, self.key, &self.before, &self.after) {
            (Some(volume), "volume", None, _) => write!(f, "volume {volume} is to come"),
            (Some(volume), "volume", Some(_), _) => write!(f, "volume {volume} is to go"),
            (volume, key, before, after) => {
                volume.iter().try_for_each(|volume| write!(f, "volume {volume}: "))?;
                let (before, after) = (before.clone(), after.clone());
                write!(
                    f,
                    "{key}: {}, then {}",
                    before.unwrap_or_else(none),
                    after.unwrap_or_else(none)
                )
            }
        }
    }
}

/// Whether a difference can count while the daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// At once.
    Live,
    /// For sessions that begin after it; those that are open stay what they are.
    NewSessions,
    /// Not while it runs, and why.
    NotLive(&'static str),
}

impl Difference {
    /// Whether it can count while a daemon runs that has this layout.
    pub(crate) fn effect(&self, layout: Layout) -> Effect {
        use Effect::{Live, NewSessions, NotLive};
        match self.key {
            "volume" | "order" if layout != Layout::Volumes => NotLive(
                "all volumes are one disk, and clients that have it open would not be told; it counts at the next start",
            ),
            "volume" | "bays" | "hook" | "absent_reads" | "absent_wait" | "io_deadline"
            | "journal_full" | "retained_limit" | "auto_insert" => Live,
            "allow" | "tls" | "read_only" | "rotational" | "description" => NewSessions,
            "order" => {
                NotLive("which volume a client gets that names none changes at the next start")
            }
            "name" | "layout" => {
                NotLive("clients know the exports by it; it counts at the next start")
            }
            "listen" | "control" | "metrics" => {
                NotLive("the daemon keeps its sockets; it counts at the next start")
            }
            "state" => NotLive("journals are open there; stop the daemon, move it, start again"),
            "medium" => NotLive(
                "a volume stays on its medium, after a start too; 'hotbay swap' moves it to another one",
            ),
            "journal_limit" => {
                NotLive("the journal is laid out by it; it counts at the next start")
            }
            _ => NotLive("it counts at the next start"),
        }
    }
}

/// What differs, in the order in which it is to be made true: volumes go before others come.
pub(crate) fn differences(now: &Config, then: &Config) -> Vec<Difference> {
    let mut found = of_lines(None, &lines(now), &lines(then));
    let names = |config: &Config| -> Vec<Name> {
        config.volumes.iter().map(|volume| volume.name.clone()).collect()
    };
    let (before, after) = (names(now), names(then));
    let volume = |name: &Name, before: bool| Difference {
        volume: Some(name.clone()),
        key: "volume",
        before: before.then(|| name.to_string()),
        after: (!before).then(|| name.to_string()),
    };
    found.extend(before.iter().filter(|name| !after.contains(name)).map(|name| volume(name, true)));
    found
        .extend(after.iter().filter(|name| !before.contains(name)).map(|name| volume(name, false)));
    for volume in &now.volumes {
        if let Some(other) = then.volumes.iter().find(|other| other.name == volume.name) {
            let (now, then) = (volume_lines(volume), volume_lines(other));
            found.extend(of_lines(Some(&volume.name), &now, &then));
        }
    }
    let kept = |of: &[Name], other: &[Name]| -> Vec<String> {
        of.iter().filter(|name| other.contains(name)).map(Name::to_string).collect()
    };
    let (before, after) = (kept(&before, &after), kept(&after, &before));
    if before != after {
        let (before, after) = (Some(before.join(", ")), Some(after.join(", ")));
        found.push(Difference { volume: None, key: "order", before, after });
    }
    found
}

fn of_lines(volume: Option<&Name>, now: &[Line], then: &[Line]) -> Vec<Difference> {
    let mut keys: Vec<&'static str> = now.iter().chain(then).map(|(key, _)| *key).collect();
    let mut seen = std::collections::BTreeSet::new();
    keys.retain(|key| seen.insert(*key));
    let value = |of: &[Line], key: &str| -> Option<String> {
        let values: Vec<&str> =
            of.iter().filter(|(one, _)| *one == key).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join("; "))
    };
    keys.into_iter()
        .map(|key| (key, value(now, key), value(then, key)))
        .filter(|(_, before, after)| before != after)
        .map(|(key, before, after)| Difference { volume: volume.cloned(), key, before, after })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{ConfigFile, Environment, Overrides, resolve};
    use super::*;

    fn config(text: &str) -> Config {
        let environment = Environment { home: Some("/home/me".into()), ..Environment::default() };
        resolve(ConfigFile::parse(text, "h.toml").unwrap(), Overrides::default(), &environment)
            .unwrap()
    }

    fn between(now: &str, then: &str) -> Vec<String> {
        let found = differences(&config(now), &config(then)).into_iter();
        let shown = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let of = |volume: Option<Name>| volume.map_or_else(String::new, |name| format!("{name}."));
        found
            .map(|d| format!("{}{}: {} > {}", of(d.volume), d.key, shown(d.before), shown(d.after)))
            .collect()
    }

    const A: &str = "[[volume]]\nname = \"a\"\nmedium = \"/a\"\n";
    const B: &str = "[[volume]]\nname = \"b\"\nmedium = \"/b\"\n";

    #[test]
    fn what_differs_is_found_and_nothing_else() {
        assert_eq!(between(A, A), [""; 0]);
        let other = format!("[defaults]\nabsent_wait = \"1s\"\n{A}{B}");
        let expected = ["bays: 1 > 2", "b.volume: - > b", "a.absent_wait: 30s > 1s"];
        assert_eq!(between(A, &other), expected);
        assert_eq!(between(&format!("{A}{B}"), &format!("{B}{A}")), ["order: a, b > b, a"]);
        assert_eq!(
            between(&format!("bays = 1\n{A}"), &format!("bays = 1\n{B}")),
            ["a.volume: a > -", "b.volume: - > b"],
        );
        let hook = "[[hook]]\ncommand = [\"/x\"]\n";
        assert_eq!(
            between(A, &format!("{hook}{hook}{A}")),
            ["hook: - > /x for each event, at most 30s; /x for each event, at most 30s"]
        );
    }

    /// Each key of a configuration was thought of: a new one that is not is told to need a start.
    #[test]
    fn each_key_is_live_or_has_a_reason() {
        let live = ["bays", "hook", "absent_reads", "absent_wait", "io_deadline", "journal_full"];
        let config = config(&format!("[[hook]]\ncommand = [\"/x\"]\n{A}"));
        let all = [lines(&config), volume_lines(&config.volumes[0])].concat();
        for (key, _) in all {
            let (volume, before, after) = (None, None, None);
            let effect = Difference { volume, key, before, after }.effect(Layout::Volumes);
            let is_live = live.contains(&key) || ["retained_limit", "auto_insert"].contains(&key);
            assert_eq!(effect == Effect::Live, is_live, "{key}");
            let of_sessions = ["allow", "tls", "read_only", "rotational", "description"];
            let is_of_sessions = of_sessions.contains(&key);
            assert_eq!(effect == Effect::NewSessions, is_of_sessions, "{key}");
        }
    }
}
