//! How the messages of the transmission phase are laid out.

/// What the negotiation has agreed upon. Each dialect can say all that the one before it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Requests with lengths of 32 bits, and one simple reply to each.
    #[default]
    Simple,
    /// The same requests; a READ is answered in chunks, and so is what fails, with the reason in words.
    Structured,
    /// Requests and chunks with lengths of 64 bits, and no simple replies.
    Extended,
}
