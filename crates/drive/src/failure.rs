//! A wish that was not met, for a person.

use std::fmt;

/// Why an action was refused or failed, and what to do next. Nothing was lost unless the message says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    message: String,
    hint: Option<String>,
}

impl Refusal {
    /// A refusal with the thing and the value in its message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// The same with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What was wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do next.
    #[must_use]
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}
