//! Tells a person where a file is wrong and what was probably meant.

use std::ops::Range;

use crate::failure::Failure;
use crate::nearest::nearest;

/// A text and the name of its file.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// The file's name, for the message.
    pub(super) file: &'a str,
    /// All of its text.
    pub(super) text: &'a str,
    /// What to say where a key is missing.
    pub(super) needs: &'static str,
}

impl Source<'_> {
    /// What the parser found, in words for a person.
    pub(super) fn about(self, error: &toml::de::Error) -> Failure {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().lines().collect::<Vec<_>>().join(" ");
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        match quoted.as_slice() {
            [unknown, known @ ..] if message.starts_with("unknown field") => self
                .at(span, &format!("there is no key `{unknown}` here"))
                .with_hint(suggestion(unknown, known, "the keys here are")),
            [unknown, known @ ..] if message.starts_with("unknown variant") => self
                .at(span, &format!("`{unknown}` is not a value of this key"))
                .with_hint(suggestion(unknown, known, "write")),
            [missing] if message.starts_with("missing field") => {
                self.at(span, &format!("the key `{missing}` is missing")).with_hint(self.needs)
            }
            _ => self.at(span, &in_words(&message)),
        }
    }

    /// A failure at a place in the text.
    pub(super) fn at(self, span: Range<usize>, message: &str) -> Failure {
        let place = self.place(span.clone());
        let key = self.key_before(span.start).map(|key| format!("{key}: ")).unwrap_or_default();
        Failure::new(format!("{place}{key}{message}"))
    }

    /// A place in the text, as a complaint begins with it.
    pub(super) fn place(self, span: Range<usize>) -> String {
        let (line, column) = self.line_and_column(span.start);
        format!("{}:{line}:{column}: ", self.file)
    }

    /// The line and the column in characters of a place in the text, both counted from 1.
    pub(super) fn line_and_column(self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        (before.matches('\n').count() + 1, self.line_before(at).chars().count() + 1)
    }

    /// The key on the same line whose value stands at `at`.
    fn key_before(self, at: usize) -> Option<String> {
        let (key, _) = self.line_before(at).split_once('=')?;
        Some(key.trim().to_owned())
    }

    /// The part of its line that stands before `at`.
    fn line_before(&self, at: usize) -> &str {
        let before = self.text.get(..at).unwrap_or(self.text);
        before.rsplit('\n').next().unwrap_or(before)
    }
}

/// What the parser says of a value of another type, in the words of somebody who writes the file.
fn in_words(message: &str) -> String {
    let Some((found, expected)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
    else {
        return message.to_owned();
    };
    let expected = match expected {
        "i64" | "u64" | "u32" | "usize" => "a number, without quotes",
        "a sequence" => "a list, such as [\"…\", \"…\"]",
        "path string" => "a path in quotes",
        "a string" => "text in quotes",
        "a boolean" => "true or false, without quotes",
        other => other,
    };
    format!("{found} is not what belongs here; write {expected}")
}

/// The known word that is most like `typed`, where one is like it at all; else all of them.
fn suggestion(typed: &str, known: &[&str], introduction: &str) -> String {
    match nearest(typed, known.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("{introduction} {}", known.join(", ")),
    }
}
