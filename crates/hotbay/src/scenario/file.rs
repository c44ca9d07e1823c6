//! What may stand in a scenario: TOML, checked as a whole before anything runs. `docs/scenarios.md` explains each key.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use hotbay_media::{ByteSize, FaultSpec};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::config::{self, DefaultsTable, parse_duration};
use crate::control::State;
use crate::failure::Failure;

/// The largest volume of a scenario: what should be on it is kept in memory.
const SIZE_MAX: ByteSize = ByteSize(1 << 30);

/// A scenario.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// The volume's size, up to 1GiB.
    #[serde(deserialize_with = "size_of_volume")]
    pub(super) size: u64,
    /// A command that makes the medium's content before the daemon starts; without it, zeroes.
    pub(super) prepare: Option<String>,
    /// The longest that the whole of one run may take.
    #[serde(default = "five_minutes", deserialize_with = "text")]
    pub(super) limit: Time,
    /// As `[defaults]` of a configuration.
    #[serde(default)]
    pub(super) settings: DefaultsTable,
    pub(super) load: LoadTable,
    #[serde(default)]
    pub(super) step: Vec<StepTable>,
    #[serde(default)]
    pub(super) check: CheckTable,
    #[serde(default)]
    pub(super) sweep: SweepTable,
}

/// What is done to the volume.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum LoadTable {
    /// Writes, zeroes, reads that are compared, and flushes, one at a time, the same ones for the same seed.
    Random {
        #[serde(default)]
        seed: u64,
        requests: u64,
        #[serde(default = "block_max", deserialize_with = "text")]
        longest: ByteSize,
        /// A flush follows so many requests; 0 for none at all.
        #[serde(default)]
        flush_every: u64,
        /// How many of a hundred requests are reads that are compared, 0 to 90.
        #[serde(default = "fifteen")]
        reads: u8,
    },
    /// What differs between the images that a command makes is written, one image after the other, with a flush behind
    /// each.
    Images {
        command: String,
        #[serde(default = "image_block", deserialize_with = "text")]
        block: ByteSize,
    },
    /// A command that is a client itself.
    Command { command: String },
}

/// Something that happens meanwhile.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepTable {
    /// When; right behind the step before it where it is missing.
    #[serde(default, deserialize_with = "text")]
    pub(super) when: When,
    #[serde(deserialize_with = "text")]
    pub(super) r#do: Deed,
    /// Whether the load waits until it is done.
    #[serde(default = "yes")]
    pub(super) hold: bool,
}

/// What must be true at the end.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckTable {
    /// Must succeed on the medium's file.
    pub(super) command: Option<String>,
    /// Kinds of events that must have happened.
    #[serde(default)]
    pub(super) events: Vec<String>,
    /// No request may have taken longer.
    #[serde(default, deserialize_with = "text")]
    pub(super) longest_request: Option<Time>,
}

/// How `sweep` pulls.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SweepTable {
    /// What happens to the write, as for `hotbay fault`: `vanish`, `torn`, `torn 512` or `lose-unsynced`.
    #[serde(default = "vanish")]
    pub(super) fault: String,
    /// What it means that the check fails on the medium as it was pulled.
    #[serde(default)]
    pub(super) as_pulled: AsPulled,
}

/// What a failed check on the medium as it was pulled means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AsPulled {
    /// The verdict is FAIL.
    #[default]
    MustPass,
    /// It is told, as a finding about what made the content.
    Report,
}

/// A duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub(super) Duration);

/// When a step happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum When {
    /// Right behind the one before it; the first one before the load begins.
    #[default]
    Next,
    /// Once the load has written so often.
    Write(u64),
    /// So long after the load began.
    After(Duration),
    /// When the load has ended.
    End,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Fault(Vec<FaultSpec>),
    Clear,
    Pull,
    Eject,
    Insert,
    Wait(State, Duration),
    Shell(String),
}

impl Scenario {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Where it cannot be read, or what is wrong in it, and where.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = config::read_text(path)?;
        Self::parse(&text, &path.display().to_string())
    }

    pub(super) fn parse(text: &str, file: &str) -> Result<Self, Failure> {
        let scenario: Self = config::parse_text(text, file, "docs/scenarios.md explains each key")?;
        scenario.check_whole().map_err(|why| {
            Failure::new(format!("{file}: {why}")).with_hint("docs/scenarios.md explains each key")
        })?;
        Ok(scenario)
    }

    /// What no single value is wrong about.
    fn check_whole(&self) -> Result<(), String> {
        if let LoadTable::Random { longest, .. } = self.load
            && !(1..=self.size.min(32 << 20)).contains(&longest.0)
        {
            return Err(format!(
                "longest = \"{longest}\": write a size up to the volume's, and to 32MiB"
            ));
        }
        if let LoadTable::Random { reads: 91.., .. } = self.load {
            return Err(String::from(
                "reads: write how many of a hundred requests are reads, 0 to 90",
            ));
        }
        if let LoadTable::Images { block, .. } = self.load
            && (block.0 == 0 || !self.size.is_multiple_of(block.0))
        {
            return Err(format!("block = \"{block}\" does not divide the volume's size"));
        }
        let counts = self.step.iter().any(|step| matches!(step.when, When::Write(_)));
        if counts && matches!(self.load, LoadTable::Command { .. }) {
            return Err(String::from(
                "the writes of a command are not counted; arm a fault instead: do = \"fault vanish on write 100\"",
            ));
        }
        Ok(())
    }
}

impl Default for SweepTable {
    fn default() -> Self {
        Self { fault: vanish(), as_pulled: AsPulled::default() }
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_duration(text).map(Self)
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["write", number] => match number.parse() {
                Ok(number) if number > 0 => Ok(Self::Write(number)),
                _ => Err(format!("`{number}` is no place in a count; write 1 for the first one")),
            },
            ["after", time] => parse_duration(time).map(Self::After),
            ["end"] => Ok(Self::End),
            _ => Err(format!(
                "`{text}` is no time for a step; write `write N`, `after TIME` or `end`"
            )),
        }
    }
}

impl FromStr for Deed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (verb, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        match (verb, rest.split_whitespace().collect::<Vec<_>>().as_slice()) {
            ("fault", [_, ..]) => {
                FaultSpec::parse_all(rest).map(Self::Fault).map_err(|error| error.to_string())
            }
            ("shell", [_, ..]) => Ok(Self::Shell(rest.to_owned())),
            ("clear", []) => Ok(Self::Clear),
            ("pull", []) => Ok(Self::Pull),
            ("eject", []) => Ok(Self::Eject),
            ("insert", []) => Ok(Self::Insert),
            ("wait", [state]) => Ok(Self::Wait(state_of(state)?, Duration::from_secs(30))),
            ("wait", [state, time]) => Ok(Self::Wait(state_of(state)?, parse_duration(time)?)),
            _ => Err(format!(
                "`{text}` is nothing that a step does; write fault SPEC, clear, pull, eject, insert, wait STATE [TIME] \
                 or shell COMMAND"
            )),
        }
    }
}

fn state_of(word: &str) -> Result<State, String> {
    <State as clap::ValueEnum>::from_str(word, false).map_err(|_| {
        format!("`{word}` is no state; write present, absent, replaying, copying or failed")
    })
}

/// A value that is written as text.
fn text<'de, D: Deserializer<'de>, T: FromText>(deserializer: D) -> Result<T, D::Error> {
    T::from_text(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

trait FromText: Sized {
    fn from_text(text: &str) -> Result<Self, String>;
}

macro_rules! from_text {
    ($($type:ty),*) => {$(
        impl FromText for $type {
            fn from_text(text: &str) -> Result<Self, String> {
                text.parse().map_err(|error: <$type as FromStr>::Err| error.to_string())
            }
        }
    )*};
}

from_text!(ByteSize, Time, When, Deed);

impl FromText for Option<Time> {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map(Some)
    }
}

fn size_of_volume<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let size: ByteSize = text(deserializer)?;
    match (ByteSize(4096)..=SIZE_MAX).contains(&size) && size.0.is_multiple_of(512) {
        true => Ok(size.0),
        false => Err(D::Error::custom(format!(
            "a volume of {size}: write a size from 4KiB to {SIZE_MAX} in whole sectors"
        ))),
    }
}

const fn five_minutes() -> Time {
    Time(Duration::from_mins(5))
}

const fn fifteen() -> u8 {
    15
}

const fn block_max() -> ByteSize {
    ByteSize(64 << 10)
}

const fn image_block() -> ByteSize {
    ByteSize(1 << 10)
}

const fn yes() -> bool {
    true
}

fn vanish() -> String {
    String::from("vanish")
}
