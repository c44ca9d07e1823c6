//! The client's side of the negotiation.
//!
//! ```text
//!  Greeting ─► Go ──ACK──────────────► Over (opened)
//!     │  │      └──ERR_UNSUP─► ExportName ─► Over (opened)
//!     │  └───► Speak ─► Context ─► Go
//!     ├─► StartTls ──ACK─► (TLS) ─► as from Greeting
//!     └──────► List ──ACK────────────► Over (listed)
//! ```

use bytes::{Buf, BufMut, BytesMut};

use super::ClientError;
use crate::limits::{INFO_REPLIES_MAX, LISTED_MAX, OPTION_BYTES_MAX, STRING_BYTES_MAX};
use crate::option::info::Information;
use crate::option::{
    OptionCode, ReplyHeader, ReplyKind, abort, expect_magic, export_name, extended_headers, go,
    list, meta_context, starttls, structured_reply,
};
use crate::wire::{OPTION_MAGIC, SERVER_MAGIC, for_people, in_memory};
use crate::{
    BlockSizes, ClientFlags, Dialect, ExportDescription, HandshakeFlags, TransmissionFlags,
};

/// What the client wants of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The transmission phase.
    Open {
        /// With the export of this name; empty for the server's default.
        export: String,
        /// In this dialect, or the best below it that the server speaks.
        dialect: Dialect,
    },
    /// The names of the exports.
    List,
}

/// What the caller of [`Handshake::advance`] is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send all output, add to the input, call again.
    Receive,
    /// Send all output, begin TLS as its client, and call again, over it and with empty input.
    StartTls,
    /// The transmission phase has begun: what is left in the input belongs to it.
    Opened(Opened),
    /// Send all output, if the server still takes it, and close.
    Listed(Vec<ExportDescription>),
}

/// What the server said of the export that is open now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// How requests and replies are laid out.
    pub dialect: Dialect,
    /// The number of the context `base:allocation`, where BLOCK_STATUS tells about it.
    pub allocation: Option<u32>,
    /// Size in bytes.
    pub size_bytes: u64,
    /// What it can do.
    pub flags: TransmissionFlags,
    /// The name that it is known by, where the server said one.
    pub name: Option<String>,
    /// For people, where the server said one.
    pub description: Option<String>,
    /// The sizes of requests, where the server said them. Else: 1 byte, 4 KiB and 32 MiB are safe.
    pub block_sizes: Option<BlockSizes>,
}

/// The client's side of one negotiation. Holds no more than what it was told of one export, or one list.
#[derive(Debug)]
pub struct Handshake {
    goal: Goal,
    wants_tls: bool,
    state: State,
    flags: ClientFlags,
    dialect: Dialect,
    allocation: Option<u32>,
}

#[derive(Debug)]
enum State {
    /// The server is to greet.
    Greeting,
    /// The server is to answer STARTTLS.
    StartTls,
    /// TLS has begun.
    Secured,
    /// The server is to say whether it speaks this dialect.
    Speak(Dialect),
    /// The server is to answer SET_META_CONTEXT.
    Context,
    /// The server is to answer GO.
    Go(Told),
    /// The server does not know GO and is to answer EXPORT_NAME.
    ExportName,
    /// The server is to answer LIST.
    List(Vec<ExportDescription>),
    /// The goal is reached, or cannot be.
    Over,
}

/// What the server has told so far in answer to GO.
#[derive(Debug, Default)]
struct Told {
    replies: u32,
    export: Option<(u64, TransmissionFlags)>,
    name: Option<String>,
    description: Option<String>,
    block_sizes: Option<BlockSizes>,
}

impl Told {
    fn add(&mut self, information: Information) {
        match information {
            Information::Export { size_bytes, flags } => self.export = Some((size_bytes, flags)),
            Information::Name(name) => self.name = Some(name),
            Information::Description(text) => self.description = Some(text),
            Information::BlockSizes(sizes) => self.block_sizes = Some(sizes),
            Information::Other => {}
        }
    }

    fn opened(self, dialect: Dialect, allocation: Option<u32>) -> Option<Opened> {
        let (size_bytes, flags) = self.export?;
        let Self { name, description, block_sizes, .. } = self;
        Some(Opened { dialect, allocation, size_bytes, flags, name, description, block_sizes })
    }
}

impl Handshake {
    /// A negotiation with this goal.
    ///
    /// # Errors
    /// [`ClientError::NameTooLong`].
    pub fn new(goal: Goal) -> Result<Self, ClientError> {
        if let Goal::Open { export, .. } = &goal
            && export.len() > STRING_BYTES_MAX
        {
            return Err(ClientError::NameTooLong { length: export.len() });
        }
        let (dialect, allocation) = (Dialect::Simple, None);
        let (state, flags) = (State::Greeting, ClientFlags::NONE);
        Ok(Self { goal, wants_tls: false, state, flags, dialect, allocation })
    }

    /// The same, and nothing but in TLS.
    #[must_use]
    pub const fn in_tls(mut self) -> Self {
        self.wants_tls = true;
        self
    }

    /// Takes from `input` what it can, appends to `output` what there is to say, and tells what to do next.
    /// Input never has to hold more than [`OPTION_BYTES_MAX`] and one header.
    ///
    /// # Errors
    /// Where the goal cannot be reached. The connection is to be closed.
    pub fn advance(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<Step, ClientError> {
        loop {
            let step = match std::mem::replace(&mut self.state, State::Over) {
                State::Greeting => self.take_greeting(input, output)?,
                State::StartTls => self.take_tls_reply(input)?,
                State::Secured => self.begin(output),
                State::Speak(dialect) => self.take_dialect_reply(dialect, input, output)?,
                State::Context => self.take_context_reply(input, output)?,
                State::Go(told) => self.take_go_reply(told, input, output)?,
                State::ExportName => self.take_export_name_reply(input),
                State::List(listed) => self.take_list_reply(listed, input, output)?,
                State::Over => return Err(ClientError::Over),
            };
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    fn take_greeting(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<Option<Step>, ClientError> {
        if input.len() < 18 {
            return Ok(Some(self.wait(State::Greeting)));
        }
        expect_magic(input.get_u64(), SERVER_MAGIC)?;
        expect_magic(input.get_u64(), OPTION_MAGIC)?;
        let server = HandshakeFlags::from_bits(input.get_u16());
        if !server.contains(HandshakeFlags::FIXED_NEWSTYLE) {
            return Err(ClientError::NotFixedNewstyle);
        }
        let no_zeroes = server.contains(HandshakeFlags::NO_ZEROES);
        self.flags = ClientFlags::FIXED_NEWSTYLE.with_if(no_zeroes, ClientFlags::NO_ZEROES);
        output.put_u32(self.flags.bits());
        if self.wants_tls {
            starttls::ask(output);
            self.state = State::StartTls;
            return Ok(None);
        }
        Ok(self.begin(output))
    }

    fn take_tls_reply(&mut self, input: &mut BytesMut) -> Result<Option<Step>, ClientError> {
        let Some((header, data)) = take_reply(OptionCode::STARTTLS, input)? else {
            return Ok(Some(self.wait(State::StartTls)));
        };
        match header.kind {
            ReplyKind::ACK if input.is_empty() => {
                self.state = State::Secured;
                Ok(Some(Step::StartTls))
            }
            // Anybody on the way could have put them there.
            ReplyKind::ACK => Err(ClientError::BytesBehindStartTls { count: input.len() }),
            _ => Err(refused(header, &data)),
        }
    }

    /// Asks for the goal.
    fn begin(&mut self, output: &mut BytesMut) -> Option<Step> {
        match &self.goal {
            Goal::Open { dialect, .. } => self.ask_for(*dialect, output),
            Goal::List => {
                list::ask(output);
                self.state = State::List(Vec::new());
            }
        }
        None
    }

    /// Asks for a dialect, and for what there is to be asked in it.
    fn ask_for(&mut self, dialect: Dialect, output: &mut BytesMut) {
        match dialect {
            Dialect::Simple => return self.ask_to_go(output),
            Dialect::Structured => structured_reply::ask(output),
            Dialect::Extended => extended_headers::ask(output),
        }
        self.state = State::Speak(dialect);
    }

    fn ask_to_go(&mut self, output: &mut BytesMut) {
        go::ask(self.export(), output);
        self.state = State::Go(Told::default());
    }

    /// What is to be opened.
    fn export(&self) -> &str {
        match &self.goal {
            Goal::Open { export, .. } => export,
            Goal::List => "",
        }
    }

    fn take_dialect_reply(
        &mut self,
        asked: Dialect,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<Option<Step>, ClientError> {
        let (option, below) = match asked {
            Dialect::Extended => (OptionCode::EXTENDED_HEADERS, Dialect::Structured),
            _ => (OptionCode::STRUCTURED_REPLY, Dialect::Simple),
        };
        let Some((header, _)) = take_reply(option, input)? else {
            return Ok(Some(self.wait(State::Speak(asked))));
        };
        match header.kind {
            ReplyKind::ACK => {
                self.dialect = asked;
                meta_context::ask(self.export(), meta_context::ALLOCATION, output);
                self.state = State::Context;
            }
            // Whatever else is wrong is said to GO as well.
            kind if kind.is_error() => self.ask_for(below, output),
            _ => return Err(unexpected(header)),
        }
        Ok(None)
    }

    fn take_context_reply(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<Option<Step>, ClientError> {
        let Some((header, data)) = take_reply(OptionCode::SET_META_CONTEXT, input)? else {
            return Ok(Some(self.wait(State::Context)));
        };
        match header.kind {
            ReplyKind::META_CONTEXT if self.allocation.is_none() => {
                let number = meta_context::number_of(meta_context::ALLOCATION, &data);
                self.allocation = Some(number.ok_or_else(|| unexpected(header))?);
                self.state = State::Context;
            }
            ReplyKind::ACK => self.ask_to_go(output),
            kind if kind.is_error() => {
                self.allocation = None;
                self.ask_to_go(output);
            }
            _ => return Err(unexpected(header)),
        }
        Ok(None)
    }

    fn take_go_reply(
        &mut self,
        mut told: Told,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<Option<Step>, ClientError> {
        let Some((header, data)) = take_reply(OptionCode::GO, input)? else {
            return Ok(Some(self.wait(State::Go(told))));
        };
        match header.kind {
            ReplyKind::INFO => {
                told.replies += 1;
                if told.replies > INFO_REPLIES_MAX {
                    return Err(ClientError::TooMuch { option: header.option });
                }
                told.add(Information::decode(&data).ok_or_else(|| unexpected(header))?);
                self.state = State::Go(told);
                Ok(None)
            }
            ReplyKind::ACK => {
                let opened = told.opened(self.dialect, self.allocation);
                let opened = opened.ok_or_else(|| unexpected(header))?;
                Ok(Some(Step::Opened(opened)))
            }
            // With extended headers, GO is the only way.
            ReplyKind::UNSUPPORTED if self.dialect != Dialect::Extended => {
                export_name::ask(self.export(), output);
                self.state = State::ExportName;
                Ok(None)
            }
            _ => Err(refused(header, &data)),
        }
    }

    fn take_export_name_reply(&mut self, input: &mut BytesMut) -> Option<Step> {
        let Some((size_bytes, flags)) = export_name::take_answer(input, self.flags) else {
            return Some(self.wait(State::ExportName));
        };
        let told = Told { export: Some((size_bytes, flags)), ..Told::default() };
        told.opened(self.dialect, self.allocation).map(Step::Opened)
    }

    fn take_list_reply(
        &mut self,
        mut listed: Vec<ExportDescription>,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<Option<Step>, ClientError> {
        let Some((header, data)) = take_reply(OptionCode::LIST, input)? else {
            return Ok(Some(self.wait(State::List(listed))));
        };
        match header.kind {
            ReplyKind::SERVER => {
                if listed.len() >= LISTED_MAX {
                    return Err(ClientError::TooMuch { option: header.option });
                }
                listed.push(list::take_entry(&data).ok_or_else(|| unexpected(header))?);
                self.state = State::List(listed);
                Ok(None)
            }
            ReplyKind::ACK => {
                abort::ask(output);
                Ok(Some(Step::Listed(listed)))
            }
            _ => Err(refused(header, &data)),
        }
    }

    fn wait(&mut self, state: State) -> Step {
        self.state = state;
        Step::Receive
    }
}

/// Takes a reply to `option` with its data; `None`, with nothing taken, where it is not there in full.
fn take_reply(
    option: OptionCode,
    input: &mut BytesMut,
) -> Result<Option<(ReplyHeader, BytesMut)>, ClientError> {
    let Some(header) = ReplyHeader::decode(&mut input.as_ref())? else { return Ok(None) };
    if header.option != option {
        return Err(unexpected(header));
    }
    if header.length > OPTION_BYTES_MAX {
        return Err(ClientError::TooMuch { option });
    }
    let whole = ReplyHeader::BYTES + in_memory(header.length);
    if input.len() < whole {
        return Ok(None);
    }
    let data = input.split_to(whole).split_off(ReplyHeader::BYTES);
    Ok(Some((header, data)))
}

const fn unexpected(header: ReplyHeader) -> ClientError {
    let ReplyHeader { option, kind, length } = header;
    ClientError::UnexpectedReply { option, kind, length }
}

fn refused(header: ReplyHeader, data: &[u8]) -> ClientError {
    if !header.kind.is_error() {
        return unexpected(header);
    }
    let text = for_people(data);
    ClientError::Refused { option: header.option, kind: header.kind, text }
}
