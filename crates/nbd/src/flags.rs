//! The four sets of flags. Bits without a name are kept, so that the one who decides can see them.

use std::fmt;

macro_rules! flag_set {
    ($(#[$doc:meta])* $name:ident: $bits:ty { $($(#[$flag_doc:meta])* $flag:ident = $bit:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
        pub struct $name($bits);

        impl $name {
            $($(#[$flag_doc])* pub const $flag: Self = Self(1 << $bit);)*
            /// No flag.
            pub const NONE: Self = Self(0);
            /// Each flag that has a name.
            pub const NAMED: Self = Self($(1 << $bit |)* 0);

            /// The set as it came from the wire, with bits that have no name.
            #[must_use]
            pub const fn from_bits(bits: $bits) -> Self {
                Self(bits)
            }

            /// The set as it goes to the wire.
            #[must_use]
            pub const fn bits(self) -> $bits {
                self.0
            }

            /// Whether each flag of `other` is in it.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// It and the flags of `other`.
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// It and the flags of `other` where `wanted`, else it alone.
            #[must_use]
            pub const fn with_if(self, wanted: bool, other: Self) -> Self {
                if wanted { self.with(other) } else { self }
            }

            /// It, less the flags of `other`.
            #[must_use]
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            /// Whether there is no flag in it.
            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut names = f.debug_set();
                $(if self.contains(Self::$flag) {
                    names.entry(&format_args!(stringify!($flag)));
                })*
                let unnamed = self.without(Self::NAMED);
                if !unnamed.is_empty() {
                    names.entry(&format_args!("{:#x}", unnamed.0));
                }
                names.finish()
            }
        }
    };
}

flag_set! {
    /// What a server says of itself in its greeting ("Handshake flags").
    HandshakeFlags: u16 {
        /// It answers each option, so that a client may try any.
        FIXED_NEWSTYLE = 0,
        /// It can leave out the zeroes that end the answer to EXPORT_NAME.
        NO_ZEROES = 1,
    }
}

flag_set! {
    /// What a client answers to the greeting ("Client flags").
    ClientFlags: u32 {
        /// It knows that each option is answered.
        FIXED_NEWSTYLE = 0,
        /// It wants the zeroes left out.
        NO_ZEROES = 1,
    }
}

flag_set! {
    /// What an export can do ("Transmission flags").
    TransmissionFlags: u16 {
        /// The others mean something.
        HAS_FLAGS = 0,
        /// Nothing may be changed.
        READ_ONLY = 1,
        /// FLUSH is there.
        SEND_FLUSH = 2,
        /// Commands take the flag FUA.
        SEND_FUA = 3,
        /// It behaves like a spinning disk.
        ROTATIONAL = 4,
        /// TRIM is there.
        SEND_TRIM = 5,
        /// WRITE_ZEROES and its flag NO_HOLE are there.
        SEND_WRITE_ZEROES = 6,
        /// READ takes the flag DF.
        SEND_DF = 7,
        /// A flush on one session covers what was answered on all.
        CAN_MULTI_CONN = 8,
        /// RESIZE is there.
        SEND_RESIZE = 9,
        /// CACHE is there.
        SEND_CACHE = 10,
        /// WRITE_ZEROES takes the flag FAST_ZERO.
        SEND_FAST_ZERO = 11,
        /// BLOCK_STATUS takes the flag PAYLOAD_LEN.
        BLOCK_STATUS_PAYLOAD = 12,
    }
}

flag_set! {
    /// What a client adds to a command ("Command flags").
    CommandFlags: u16 {
        /// Answer when it is on stable storage.
        FUA = 0,
        /// WRITE_ZEROES: keep the storage allocated.
        NO_HOLE = 1,
        /// READ: answer in one piece.
        DF = 2,
        /// BLOCK_STATUS: one extent is enough.
        REQ_ONE = 3,
        /// WRITE_ZEROES: only where it is fast.
        FAST_ZERO = 4,
        /// The length is that of a payload.
        PAYLOAD_LEN = 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_without_a_name_are_kept_and_seen() {
        let flags = CommandFlags::from_bits(0x8001);
        assert_eq!(flags.without(CommandFlags::NAMED).bits(), 0x8000);
        assert_eq!(format!("{flags:?}"), "{FUA, 0x8000}");
        assert_eq!(TransmissionFlags::NAMED.bits(), 0x1fff);
    }
}
