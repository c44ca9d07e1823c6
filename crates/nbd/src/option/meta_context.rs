//! LIST_META_CONTEXT and SET_META_CONTEXT: what BLOCK_STATUS tells about.
//!
//! Contexts are known by name, and to BLOCK_STATUS by a number: their place in [`Exports::contexts`]. A query is the name
//! of one, or, in LIST alone, the beginning of names up to a colon.

use bytes::{Buf, BufMut, BytesMut};

use super::info::unknown;
use super::{OptionCode, Refusal, ReplyKind, export_name, put_option, put_reply};
use crate::limits::STRING_BYTES_MAX;
use crate::wire::{put_string, take_string};
use crate::{Dialect, Exports};

/// What the protocol itself defines: which bytes are stored, and which are zeroes.
pub(crate) const ALLOCATION: &str = "base:allocation";

/// What a client has selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selected {
    /// The name that the export is known by. For another one nothing is selected.
    pub(crate) export: String,
    /// The numbers of the contexts, ascending.
    pub(crate) contexts: Vec<u32>,
}

/// The server's answer to LIST: each context that is asked for, all where nothing is, then ACK.
pub(crate) fn list<E: Exports + ?Sized>(
    data: &[u8],
    dialect: Dialect,
    exports: &E,
    output: &mut BytesMut,
) -> Result<(), Refusal> {
    let asked = Asked::take(data, dialect)?;
    exports.open(asked.export).ok_or_else(|| unknown(asked.export))?;
    for (_, name) in numbered(exports) {
        let is_wanted = |query: &&str| *query == name || is_beginning(query, name);
        if asked.queries.is_empty() || asked.queries.iter().any(is_wanted) {
            // The number means nothing here.
            put_context(output, OptionCode::LIST_META_CONTEXT, 0, name);
        }
    }
    put_reply(output, OptionCode::LIST_META_CONTEXT, ReplyKind::ACK, &[]);
    Ok(())
}

/// The server's answer to SET: each context that is selected, then ACK.
pub(crate) fn set<E: Exports + ?Sized>(
    data: &[u8],
    dialect: Dialect,
    exports: &E,
    output: &mut BytesMut,
) -> Result<Selected, Refusal> {
    let asked = Asked::take(data, dialect)?;
    let (export, _) = exports.open(asked.export).ok_or_else(|| unknown(asked.export))?;
    let mut contexts = Vec::new();
    for (number, name) in numbered(exports) {
        if asked.queries.contains(&name) {
            put_context(output, OptionCode::SET_META_CONTEXT, number, name);
            contexts.push(number);
        }
    }
    put_reply(output, OptionCode::SET_META_CONTEXT, ReplyKind::ACK, &[]);
    Ok(Selected { export: export.name, contexts })
}

fn numbered<E: Exports + ?Sized>(exports: &E) -> impl Iterator<Item = (u32, &'static str)> {
    (0..).zip(exports.contexts().iter().copied())
}

fn is_beginning(query: &str, name: &str) -> bool {
    query.ends_with(':') && name.starts_with(query)
}

fn put_context(output: &mut BytesMut, option: OptionCode, number: u32, name: &str) {
    let mut data = BytesMut::new();
    data.put_u32(number);
    data.put_slice(name.as_bytes());
    put_reply(output, option, ReplyKind::META_CONTEXT, &data);
}

/// The client's request for one context of an export.
pub(crate) fn ask(export: &str, context: &str, output: &mut BytesMut) {
    let mut data = BytesMut::new();
    put_string(&mut data, export);
    data.put_u32(1);
    put_string(&mut data, context);
    put_option(output, OptionCode::SET_META_CONTEXT, &data);
}

/// The number that a server gives the context; `None` where it is about another one.
pub(crate) fn number_of(context: &str, mut data: &[u8]) -> Option<u32> {
    let number = data.try_get_u32().ok()?;
    (data == context.as_bytes()).then_some(number)
}

/// The data of either option.
struct Asked<'a> {
    export: &'a str,
    queries: Vec<&'a str>,
}

impl<'a> Asked<'a> {
    fn take(mut data: &'a [u8], dialect: Dialect) -> Result<Self, Refusal> {
        if dialect == Dialect::Simple {
            let text = "contexts need structured replies, which are not agreed upon";
            return Err(Refusal::new(ReplyKind::INVALID, text));
        }
        let malformed =
            || Refusal::new(ReplyKind::INVALID, "the lengths in the option do not add up");
        let export = export_name(take_string(&mut data).ok_or_else(malformed)?)?;
        let count = data.try_get_u32().map_err(|_| malformed())?;
        let mut queries = Vec::new();
        for _ in 0..count {
            queries.push(query(take_string(&mut data).ok_or_else(malformed)?)?);
        }
        if !data.is_empty() {
            return Err(malformed());
        }
        Ok(Self { export, queries })
    }
}

/// The bytes as a query: a namespace, a colon, and what the namespace makes of the rest.
fn query(bytes: &[u8]) -> Result<&str, Refusal> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    match text {
        Some(text) if text.contains(':') && text.len() <= STRING_BYTES_MAX => Ok(text),
        Some(_) => Err(Refusal::new(
            ReplyKind::INVALID,
            "a query has a namespace and a colon, and at most 4096 bytes",
        )),
        None => Err(Refusal::new(ReplyKind::INVALID, "a query is not UTF-8, or has a NUL")),
    }
}
