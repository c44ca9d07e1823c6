//! The server's side of the negotiation ("Handshake phase", fixed newstyle).
//!
//! ```text
//!  Greeting ─► ClientFlags ─► Option ─► Data ──────┐
//!                               ▲ ▲      │ (answer) ├─► Over   (EXPORT_NAME, GO, ABORT)
//!                               │ └──────┘          │
//!                               └───── Drain ◄──────┘  (an option that is not known, not allowed, or too long)
//! ```
//!
//! What must hold:
//! * Whatever an option is answered with, its data are taken from the input in full: both sides stay in step.
//! * Data are only waited for up to [`OPTION_BYTES_MAX`]; longer data are dropped as they come. So input never
//!   has to hold more than that and one header.
//! * After each answer the caller is handed control ([`Step::Send`]), so that a client which asks without
//!   reading makes the server hold one answer, not all of them.
//! * Nothing that was sent in the clear counts once TLS has begun: what was agreed upon is forgotten, and bytes that came
//!   behind STARTTLS, which anybody on the way could have put there, end the negotiation.

use bytes::{Buf, BufMut, BytesMut};

use crate::limits::{OPTION_BYTES_MAX, OPTIONS_MAX, STRING_BYTES_MAX};
use crate::option::starttls::Tls;
use crate::option::{
    Known, OptionCode, OptionHeader, Refusal, ReplyKind, abort, export_name, extended_headers, go,
    info, list, meta_context, starttls, structured_reply,
};
use crate::wire::{OPTION_MAGIC, SERVER_MAGIC, in_memory, on_wire};
use crate::{ClientFlags, Dialect, Export, Exports, HandshakeError, HandshakeFlags};

/// What the caller of [`ServerHandshake::advance`] is to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Send all output, add to the input, call again.
    Receive,
    /// Send all output, then call again, even with no new input.
    Send,
    /// Send all output, begin TLS as its server, and call again, over it and with empty input.
    StartTls,
    /// Send all output; what is left in the input, and all that comes, belongs to the transmission phase.
    Transmit(Chosen<T>),
    /// The client has ended it. Send all output, if the client still takes it, and close.
    Aborted,
}

/// The export that the client has chosen.
#[derive(Debug, PartialEq, Eq)]
pub struct Chosen<T> {
    /// What the client was told.
    pub export: Export,
    /// What [`Exports::open`] gave.
    pub opened: T,
    /// How the messages from now on are laid out.
    pub dialect: Dialect,
    /// The numbers of the metadata contexts that BLOCK_STATUS is to tell about; without any there is no BLOCK_STATUS.
    pub contexts: Vec<u32>,
}

/// The server's side of one negotiation, from the greeting to the transmission phase. Holds no bytes itself.
#[derive(Debug)]
pub struct ServerHandshake {
    state: State,
    tls: Tls,
    client: ClientFlags,
    dialect: Dialect,
    selected: Option<meta_context::Selected>,
    options: u32,
}

#[derive(Clone, Debug)]
enum State {
    /// Nothing has been said.
    Greeting,
    /// The client is to send its flags.
    ClientFlags,
    /// The client is to send the header of an option.
    Option,
    /// The client is to send the data of an option that is known and short enough.
    Data { known: Known, header: OptionHeader },
    /// `left` bytes of data are to be dropped before the option is refused.
    Drain { option: OptionCode, left: u32, refusal: Refusal },
    /// The transmission phase has begun, or the connection is to be closed.
    Over,
}

impl ServerHandshake {
    /// The beginning of one, with a client that is connected in the clear.
    #[must_use]
    pub const fn new(tls: Tls) -> Self {
        let (client, dialect) = (ClientFlags::NONE, Dialect::Simple);
        Self { state: State::Greeting, tls, client, dialect, selected: None, options: 0 }
    }

    /// Takes from `input` what it can, appends to `output` what there is to say, and tells what to do next.
    /// Call it first with empty input: the server speaks first.
    ///
    /// # Errors
    /// Where the negotiation cannot go on. The connection is to be closed.
    pub fn advance<E: Exports + ?Sized>(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
        exports: &E,
    ) -> Result<Step<E::Opened>, HandshakeError> {
        loop {
            let step = match std::mem::replace(&mut self.state, State::Over) {
                State::Greeting => Some(self.greet(output)),
                State::ClientFlags => self.take_flags(input)?,
                State::Option => self.take_option(input)?,
                State::Data { known, header } => {
                    self.take_data(known, header, input, output, exports)?
                }
                State::Drain { option, left, refusal } => {
                    self.drain(option, left, refusal, input, output)
                }
                State::Over => return Err(HandshakeError::Over),
            };
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    fn greet<T>(&mut self, output: &mut BytesMut) -> Step<T> {
        output.put_u64(SERVER_MAGIC);
        output.put_u64(OPTION_MAGIC);
        output.put_u16(HandshakeFlags::NAMED.bits());
        self.go_on(State::ClientFlags, Step::Send)
    }

    fn take_flags<T>(&mut self, input: &mut BytesMut) -> Result<Option<Step<T>>, HandshakeError> {
        let Ok(bits) = input.try_get_u32() else {
            return Ok(Some(self.go_on(State::ClientFlags, Step::Receive)));
        };
        let flags = ClientFlags::from_bits(bits);
        let unknown = flags.without(ClientFlags::NAMED);
        if !unknown.is_empty() {
            return Err(HandshakeError::UnknownClientFlags { bits: unknown.bits() });
        }
        self.client = flags;
        self.state = State::Option;
        Ok(None)
    }

    fn take_option<T>(&mut self, input: &mut BytesMut) -> Result<Option<Step<T>>, HandshakeError> {
        let Some(header) = OptionHeader::decode(input)? else {
            return Ok(Some(self.go_on(State::Option, Step::Receive)));
        };
        self.options += 1;
        if self.options > OPTIONS_MAX {
            return Err(HandshakeError::TooManyOptions);
        }
        self.state = self.plan(header)?;
        Ok(None)
    }

    /// What is to be done with the data of an option.
    fn plan(&self, header: OptionHeader) -> Result<State, HandshakeError> {
        let OptionHeader { option, length } = header;
        let known = Known::of(option);
        if known == Some(Known::ExportName) {
            if !self.tls.admits(known) {
                return Err(HandshakeError::TlsRequired);
            }
            if in_memory(length) > STRING_BYTES_MAX {
                return Err(HandshakeError::InvalidName { length });
            }
        } else if !self.client.contains(ClientFlags::FIXED_NEWSTYLE) {
            return Err(HandshakeError::NotFixedNewstyle { option });
        }
        let refusal = match known {
            _ if !self.tls.admits(known) => Refusal::new(
                ReplyKind::TLS_REQUIRED,
                "this server talks in TLS alone; STARTTLS begins it",
            ),
            Some(known) if length <= OPTION_BYTES_MAX => return Ok(State::Data { known, header }),
            Some(_) => Refusal::new(ReplyKind::TOO_BIG, "the option is longer than 64 KiB"),
            None => Refusal::new(ReplyKind::UNSUPPORTED, "this server does not know the option"),
        };
        Ok(State::Drain { option, left: length, refusal })
    }

    fn take_data<E: Exports + ?Sized>(
        &mut self,
        known: Known,
        header: OptionHeader,
        input: &mut BytesMut,
        output: &mut BytesMut,
        exports: &E,
    ) -> Result<Option<Step<E::Opened>>, HandshakeError> {
        let length = in_memory(header.length);
        if input.len() < length {
            return Ok(Some(self.go_on(State::Data { known, header }, Step::Receive)));
        }
        let data = input.split_to(length);
        match self.answer(known, &data, output, exports)? {
            Ok(Step::Send) => Ok(Some(self.go_on(State::Option, Step::Send))),
            Ok(Step::StartTls) => self.start_tls(input).map(Some),
            Ok(step) => Ok(Some(step)),
            Err(refusal) => {
                refusal.put(output, header.option);
                Ok(Some(self.go_on(State::Option, Step::Send)))
            }
        }
    }

    /// Answers an option: the step to take, or why it is refused.
    fn answer<E: Exports + ?Sized>(
        &mut self,
        known: Known,
        data: &[u8],
        output: &mut BytesMut,
        exports: &E,
    ) -> Result<Result<Step<E::Opened>, Refusal>, HandshakeError> {
        let dialect = self.dialect;
        let selected = self.selected.clone();
        let chosen = |(export, opened): (Export, _)| {
            let contexts = selected.filter(|selected| selected.export == export.name);
            let contexts = contexts.map(|selected| selected.contexts).unwrap_or_default();
            Step::Transmit(Chosen { export, opened, dialect, contexts })
        };
        Ok(match known {
            Known::ExportName => {
                let client = (self.client, dialect);
                Ok(chosen(export_name::answer(data, client, exports, output)?))
            }
            Known::Abort => {
                abort::answer(output);
                Ok(Step::Aborted)
            }
            Known::List => list::answer(data, exports, output).map(|()| Step::Send),
            Known::StartTls => starttls::answer(data, self.tls, output).map(|()| Step::StartTls),
            Known::Info => info::answer(data, dialect, exports, output).map(|()| Step::Send),
            Known::Go => go::answer(data, dialect, exports, output).map(chosen),
            Known::StructuredReply => {
                structured_reply::answer(data, dialect, output).map(|agreed| self.speak(agreed))
            }
            Known::ListMetaContext => {
                meta_context::list(data, dialect, exports, output).map(|()| Step::Send)
            }
            Known::SetMetaContext => {
                // Whatever was selected before is not any more, also where this fails.
                self.selected = None;
                meta_context::set(data, dialect, exports, output).map(|selected| {
                    self.selected = Some(selected);
                    Step::Send
                })
            }
            Known::ExtendedHeaders => {
                extended_headers::answer(data, output).map(|agreed| self.speak(agreed))
            }
        })
    }

    /// Forgets all that was said in the clear, but for the client's flags: greeting and flags are not sent again.
    fn start_tls<T>(&mut self, input: &BytesMut) -> Result<Step<T>, HandshakeError> {
        if !input.is_empty() {
            return Err(HandshakeError::BytesBehindStartTls { count: input.len() });
        }
        self.tls = Tls::Established;
        self.dialect = Dialect::Simple;
        self.selected = None;
        Ok(self.go_on(State::Option, Step::StartTls))
    }

    const fn speak<T>(&mut self, dialect: Dialect) -> Step<T> {
        self.dialect = dialect;
        Step::Send
    }

    fn drain<T>(
        &mut self,
        option: OptionCode,
        left: u32,
        refusal: Refusal,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Option<Step<T>> {
        let dropped = input.len().min(in_memory(left));
        input.advance(dropped);
        let left = left - on_wire(dropped);
        if left > 0 {
            return Some(self.go_on(State::Drain { option, left, refusal }, Step::Receive));
        }
        refusal.put(output, option);
        Some(self.go_on(State::Option, Step::Send))
    }

    fn go_on<T>(&mut self, state: State, step: Step<T>) -> Step<T> {
        self.state = state;
        step
    }
}
