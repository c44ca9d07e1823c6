//! A fault as people write it: `vanish on write 100 back 2s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hotbay_block::{Extent, Request};
use rustix::io::Errno;

use crate::ByteSize;

/// One fault: what happens, and to which request.
///
/// `Display` gives the canonical form, which reads back as the same value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSpec {
    pub(super) action: Action,
    pub(super) on: On,
    /// It counts from the `number`-th matching request on, from 1.
    pub(super) number: u64,
    /// Only what touches this range counts.
    pub(super) at: Option<Extent>,
    /// Nothing counts before this much time has passed since it was armed.
    pub(super) after: Duration,
    pub(super) how_often: HowOften,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It fails with this number and changes nothing.
    Error(Errno),
    /// It is not answered for this long, `None` until the faults are cleared; then it is carried out.
    Hang(Option<Duration>),
    /// It is carried out this much later.
    Delay(Duration),
    /// So many bytes of the write, half of them where it is `None`, are written; then the medium is gone.
    Torn(Option<u64>, Return),
    /// The medium is gone.
    Vanish(Return),
    /// The medium is gone, and what was not synced with it.
    LoseUnsynced(Return),
    /// One bit is another.
    Corrupt,
    /// Nothing: it is only counted.
    Count,
}

/// Whether, when and as what a medium comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Return {
    /// After how long; `None` where only clearing the faults brings it back.
    pub(super) after: Option<Duration>,
    pub(super) as_what: AsWhat,
}

/// What comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AsWhat {
    /// The medium.
    #[default]
    Itself,
    /// Another medium in its place, empty, of the same size, until the faults are cleared.
    Blank,
    /// The medium, to which somebody else has written meanwhile.
    Changed,
}

/// Which operations count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    One(Op),
    /// Read, write and sync.
    Io,
    /// All of them.
    Any,
}

/// What is done to a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Read,
    /// A write, zeroes or a trim.
    Write,
    Sync,
    /// A look whether it is there.
    Look,
    /// A look who it is.
    Identify,
    Open,
}

/// How often it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HowOften {
    /// To the one request.
    Once,
    /// To that one and each after it.
    Always,
    /// To that one, and each time so many more have come.
    Every,
}

impl Op {
    const ALL: [(&str, Self); 6] = [
        ("read", Self::Read),
        ("write", Self::Write),
        ("sync", Self::Sync),
        ("look", Self::Look),
        ("identify", Self::Identify),
        ("open", Self::Open),
    ];

    pub(super) const fn of(request: &Request) -> Self {
        match request {
            Request::Read { .. } | Request::Cache { .. } => Self::Read,
            Request::Write { .. } | Request::Zero { .. } | Request::Trim { .. } => Self::Write,
            Request::Flush => Self::Sync,
        }
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, op)| *op == self).map_or("", |(name, _)| name)
    }
}

impl On {
    pub(super) fn counts(self, op: Op) -> bool {
        match self {
            Self::One(one) => one == op,
            Self::Io => matches!(op, Op::Read | Op::Write | Op::Sync),
            Self::Any => true,
        }
    }

    fn has_range(self) -> bool {
        matches!(self, Self::One(Op::Read | Op::Write) | Self::Io | Self::Any)
    }
}

/// The error numbers that a fault may have.
const ERRNOS: [(&str, Errno); 10] = [
    ("EIO", Errno::IO),
    ("ENOSPC", Errno::NOSPC),
    ("ENODEV", Errno::NODEV),
    ("ENXIO", Errno::NXIO),
    ("ENOMEDIUM", Errno::NOMEDIUM),
    ("EREMOTEIO", Errno::REMOTEIO),
    ("ETIMEDOUT", Errno::TIMEDOUT),
    ("EROFS", Errno::ROFS),
    ("EBUSY", Errno::BUSY),
    ("ENOMEM", Errno::NOMEM),
];

/// Why a text is no fault: it names the word that is wrong, and says what could stand there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FaultError(String);

fn wrong(word: &str, says: impl fmt::Display) -> FaultError {
    FaultError(format!("`{word}` {says}"))
}

impl FaultSpec {
    /// Whether the medium is gone once it has happened.
    #[must_use]
    pub const fn takes_the_medium_away(&self) -> bool {
        matches!(self.action, Action::Torn(..) | Action::Vanish(_) | Action::LoseUnsynced(_))
    }

    /// Reads one fault or several, separated by `;`.
    ///
    /// # Errors
    /// The first one's that is wrong; also where there is none.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, FaultError> {
        text.split(';').map(str::parse).collect()
    }
}

impl FromStr for FaultSpec {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let mut words = Words { rest: text.split_whitespace().collect(), next: 0 };
        let mut action = parse_action(&mut words)?;
        let mut clauses = Clauses::default();
        while let Some(word) = words.take() {
            clauses.parse(word, &mut words, &mut action)?;
        }
        clauses.finish(action)
    }
}

struct Words<'a> {
    rest: Vec<&'a str>,
    next: usize,
}

impl<'a> Words<'a> {
    fn take(&mut self) -> Option<&'a str> {
        let word = self.rest.get(self.next).copied();
        self.next += 1;
        word
    }

    /// The next word, where it begins with a digit or, with `or`, is of another kind that may stand here.
    fn take_if(&mut self, may: impl Fn(&str) -> bool) -> Option<&'a str> {
        self.rest.get(self.next).copied().filter(|word| may(word)).inspect(|_| self.next += 1)
    }

    fn take_number_like(&mut self) -> Option<&'a str> {
        self.take_if(|word| word.starts_with(|c: char| c.is_ascii_digit()))
    }

    fn must(&mut self, after: &str, what: &str) -> Result<&'a str, FaultError> {
        self.take().ok_or_else(|| wrong(after, format_args!("is followed by {what}")))
    }
}

const ACTIONS: &str = "error, hang, delay, torn, vanish, lose-unsynced, corrupt or count";

fn parse_action(words: &mut Words<'_>) -> Result<Action, FaultError> {
    let Some(word) = words.take() else {
        return Err(FaultError(format!("there is no fault; write {ACTIONS}")));
    };
    Ok(match word {
        "error" => Action::Error(match words.take_if(|word| word.starts_with('E')) {
            Some(name) => errno(name)?,
            None => Errno::IO,
        }),
        "hang" => Action::Hang(words.take_number_like().map(time).transpose()?),
        "delay" => Action::Delay(time(words.must(word, "a time, such as 200ms")?)?),
        "torn" => {
            let bytes = words.take_number_like().map(size).transpose()?;
            Action::Torn(bytes, Return::default())
        }
        "vanish" => Action::Vanish(Return::default()),
        "lose-unsynced" => Action::LoseUnsynced(Return::default()),
        "corrupt" => Action::Corrupt,
        "count" => Action::Count,
        _ => return Err(wrong(word, format_args!("is no fault; write {ACTIONS}"))),
    })
}

/// What stands behind the action, in any order, each at most once.
#[derive(Default)]
struct Clauses {
    on: Option<(On, u64)>,
    at: Option<Extent>,
    after: Option<Duration>,
    how_often: Option<HowOften>,
    back: bool,
}

impl Clauses {
    fn parse(
        &mut self,
        word: &str,
        words: &mut Words<'_>,
        action: &mut Action,
    ) -> Result<(), FaultError> {
        let twice = match word {
            "on" => self.on.replace(parse_on(words)?).is_some(),
            "at" => self.at.replace(range(words.must("at", "OFFSET+LENGTH")?)?).is_some(),
            "after" => {
                let after = time(words.must("after", "a time, such as 5s")?)?;
                self.after.replace(after).is_some()
            }
            "once" => self.how_often.replace(HowOften::Once).is_some(),
            "always" => self.how_often.replace(HowOften::Always).is_some(),
            "every" => self.how_often.replace(HowOften::Every).is_some(),
            "back" => {
                let (Action::Torn(_, back) | Action::Vanish(back) | Action::LoseUnsynced(back)) =
                    action
                else {
                    return Err(wrong(
                        "back",
                        "goes with torn, vanish and lose-unsynced: nothing else takes the medium away",
                    ));
                };
                *back = parse_return(words)?;
                std::mem::replace(&mut self.back, true)
            }
            _ => {
                return Err(wrong(
                    word,
                    "is not understood here; write on OP [N], at OFFSET+LENGTH, after TIME, once, always, every or \
                     back TIME [blank|changed]",
                ));
            }
        };
        match twice {
            true => Err(wrong(word, "stands twice, or beside one that says otherwise")),
            false => Ok(()),
        }
    }

    fn finish(self, action: Action) -> Result<FaultSpec, FaultError> {
        let (on, number) = match (self.on, action) {
            (Some(on), _) => on,
            (None, Action::Torn(..)) => (On::One(Op::Write), 1),
            (None, Action::Corrupt) => {
                return Err(wrong("corrupt", "needs `on read` or `on write`"));
            }
            (None, _) => (On::Any, 1),
        };
        match action {
            Action::Torn(..) if on != On::One(Op::Write) => {
                return Err(wrong(
                    "torn",
                    "happens to a write; leave `on` away or write `on write N`",
                ));
            }
            Action::Corrupt if !matches!(on, On::One(Op::Read | Op::Write)) => {
                return Err(wrong("corrupt", "needs `on read` or `on write`"));
            }
            _ => {}
        }
        if self.at.is_some() && !on.has_range() {
            return Err(wrong("at", "goes with reads and writes: nothing else has a range"));
        }
        let how_often = self.how_often.unwrap_or(HowOften::Once);
        let after = self.after.unwrap_or_default();
        Ok(FaultSpec { action, on, number, at: self.at, after, how_often })
    }
}

fn parse_on(words: &mut Words<'_>) -> Result<(On, u64), FaultError> {
    let word =
        words.must("on", "an operation: read, write, sync, look, identify, open, io or any")?;
    let on = match word {
        "io" => On::Io,
        "any" => On::Any,
        _ => match Op::ALL.iter().find(|(name, _)| *name == word) {
            Some((_, op)) => On::One(*op),
            None => {
                return Err(wrong(
                    word,
                    "is no operation; write read, write, sync, look, identify, open, io (the first three) or any",
                ));
            }
        },
    };
    let number = match words.take_number_like() {
        None => 1,
        Some(word) => match word.parse() {
            Ok(number) if number > 0 => number,
            _ => return Err(wrong(word, "is no place in a count; write 1 for the first one")),
        },
    };
    Ok((on, number))
}

fn parse_return(words: &mut Words<'_>) -> Result<Return, FaultError> {
    let after = Some(time(words.must("back", "a time, such as 2s")?)?);
    let as_what = match words.take_if(|word| matches!(word, "blank" | "changed")) {
        Some("blank") => AsWhat::Blank,
        Some(_) => AsWhat::Changed,
        None => AsWhat::Itself,
    };
    Ok(Return { after, as_what })
}

fn errno(name: &str) -> Result<Errno, FaultError> {
    ERRNOS.iter().find(|(known, _)| *known == name).map(|(_, errno)| *errno).ok_or_else(|| {
        let names: Vec<&str> = ERRNOS.iter().map(|(name, _)| *name).collect();
        wrong(
            name,
            format_args!("is no error that a medium gives; write one of {}", names.join(", ")),
        )
    })
}

fn time(word: &str) -> Result<Duration, FaultError> {
    humantime::parse_duration(word)
        .map_err(|_| wrong(word, "is no time; write a number and a unit, such as 500ms or 30s"))
}

fn size(word: &str) -> Result<u64, FaultError> {
    word.parse::<ByteSize>().map(|size| size.0).map_err(|error| FaultError(error.to_string()))
}

fn range(word: &str) -> Result<Extent, FaultError> {
    let Some((offset, length)) = word.split_once('+') else {
        return Err(wrong(word, "is no range; write OFFSET+LENGTH, such as 1MiB+64KiB"));
    };
    Extent::new(size(offset)?, size(length)?)
        .filter(|extent| !extent.is_empty())
        .ok_or_else(|| wrong(word, "has no bytes, or ends past 2^64"))
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.action.fmt(f)?;
        match self.on {
            On::One(op) => write!(f, " on {}", op.name())?,
            On::Io => f.write_str(" on io")?,
            On::Any => f.write_str(" on any")?,
        }
        if self.number > 1 {
            write!(f, " {}", self.number)?;
        }
        if let Some(at) = self.at {
            write!(f, " at {}+{}", ByteSize(at.offset()), ByteSize(at.length()))?;
        }
        if !self.after.is_zero() {
            write!(f, " after {}", Shown(self.after))?;
        }
        match self.how_often {
            HowOften::Once => {}
            HowOften::Always => f.write_str(" always")?,
            HowOften::Every => f.write_str(" every")?,
        }
        match self.action {
            Action::Torn(_, back) | Action::Vanish(back) | Action::LoseUnsynced(back) => {
                back.fmt(f)
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(errno) => {
                let known = ERRNOS.iter().find(|(_, known)| known == errno);
                write!(f, "error {}", known.map_or("EIO", |(name, _)| name))
            }
            Self::Hang(Some(time)) => write!(f, "hang {}", Shown(*time)),
            Self::Hang(None) => f.write_str("hang"),
            Self::Delay(time) => write!(f, "delay {}", Shown(*time)),
            Self::Torn(Some(bytes), _) => write!(f, "torn {}", ByteSize(*bytes)),
            Self::Torn(None, _) => f.write_str("torn"),
            Self::Vanish(_) => f.write_str("vanish"),
            Self::LoseUnsynced(_) => f.write_str("lose-unsynced"),
            Self::Corrupt => f.write_str("corrupt"),
            Self::Count => f.write_str("count"),
        }
    }
}

impl fmt::Display for Return {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(after) = self.after else { return Ok(()) };
        write!(f, " back {}", Shown(after))?;
        f.write_str(match self.as_what {
            AsWhat::Itself => "",
            AsWhat::Blank => " blank",
            AsWhat::Changed => " changed",
        })
    }
}

/// A time as one word.
struct Shown(Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&humantime::format_duration(self.0).to_string().replace(' ', ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn faults_are_read_and_written() {
        for (text, canonical) in [
            ("error", "error EIO on any"),
            ("error ENOSPC on write 10", "error ENOSPC on write 10"),
            ("error EIO on read at 1MiB+4096 always", "error EIO on read at 1MiB+4KiB always"),
            ("hang on sync", "hang on sync"),
            ("hang 10s on write 3", "hang 10s on write 3"),
            ("  hang   always ", "hang on any always"),
            ("delay 200ms on io every", "delay 200ms on io every"),
            ("torn", "torn on write"),
            ("torn 512 on write 7 back 1500ms", "torn 512 on write 7 back 1s500ms"),
            ("vanish after 5s", "vanish on any after 5s"),
            ("vanish on write 100 back 2s", "vanish on write 100 back 2s"),
            ("vanish back 2s blank on io", "vanish on io back 2s blank"),
            (
                "lose-unsynced once on sync 2 back 0s changed",
                "lose-unsynced on sync 2 back 0s changed",
            ),
            ("corrupt at 4096+1 on write", "corrupt on write at 4KiB+1"),
            ("count on write", "count on write"),
        ] {
            let spec: FaultSpec = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(spec.to_string(), canonical, "{text}");
            assert_eq!(canonical.parse::<FaultSpec>().unwrap(), spec, "{text}");
        }
    }

    #[test]
    fn the_wrong_word_is_named() {
        for (text, says) in [
            ("", "there is no fault"),
            ("vanish ;", "there is no fault"),
            ("vansih", "`vansih` is no fault"),
            ("vanish on wirte 3", "`wirte` is no operation"),
            ("vanish on", "`on` is followed by"),
            ("vanish on write 0", "`0` is no place"),
            ("vanish on write 3x", "`3x` is no place"),
            ("vanish soon", "`soon` is not understood"),
            ("vanish on read on write", "`on` stands twice"),
            ("vanish once always", "`always` stands twice"),
            ("error EWHAT", "`EWHAT` is no error"),
            ("delay", "`delay` is followed by a time"),
            ("delay fast", "`fast` is no time"),
            ("hang 3 on sync", "`3` is no time"),
            ("hang on sync back 2s", "`back` goes with"),
            ("vanish back soon", "`soon` is no time"),
            ("torn 1kB", "write 1KiB"),
            ("torn on sync", "`torn` happens to a write"),
            ("corrupt", "`corrupt` needs"),
            ("corrupt on sync", "`corrupt` needs"),
            ("error on sync at 0+512", "`at` goes with"),
            ("error on read at 512", "`512` is no range"),
            ("error on read at 512+0", "`512+0` has no bytes"),
        ] {
            let error = FaultSpec::parse_all(text).expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn several_stand_in_one_text() {
        let specs = FaultSpec::parse_all("delay 1ms always; vanish on write 3").unwrap();
        assert_eq!(specs.len(), 2);
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in "(error|hang|torn|vanish|corrupt|on|at|back|write|blank|[0-9+a-zA-Z]{0,6}| |;){0,12}") {
            if let Ok(specs) = FaultSpec::parse_all(&text) {
                for spec in specs {
                    prop_assert_eq!(spec.to_string().parse::<FaultSpec>(), Ok(spec));
                }
            }
        }
    }
}
