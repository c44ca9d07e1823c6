//! What follows a BLOCK_STATUS with PAYLOAD_LEN.

use bytes::Buf;

/// The range's length, and the contexts that are asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusPayload {
    /// How many bytes the request is about.
    pub length: u64,
    /// The numbers of contexts, at least one, none twice.
    pub contexts: Vec<u32>,
}

impl StatusPayload {
    /// `None` where it makes no sense.
    #[must_use]
    pub fn decode(mut data: &[u8]) -> Option<Self> {
        let length = data.try_get_u64().ok()?;
        let mut contexts = Vec::new();
        while !data.is_empty() {
            let context = data.try_get_u32().ok()?;
            if contexts.contains(&context) {
                return None;
            }
            contexts.push(context);
        }
        (!contexts.is_empty()).then_some(Self { length, contexts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_contexts_once_each() {
        let bytes = |contexts: &[u32]| {
            let ids: Vec<u8> = contexts.iter().flat_map(|id| id.to_be_bytes()).collect();
            [7u64.to_be_bytes().as_slice(), &ids].concat()
        };
        let whole = bytes(&[2, 0]);
        let decoded = StatusPayload { length: 7, contexts: vec![2, 0] };
        assert_eq!(StatusPayload::decode(&whole), Some(decoded));
        assert_eq!(StatusPayload::decode(&bytes(&[])), None);
        assert_eq!(StatusPayload::decode(&bytes(&[1, 1])), None);
        for end in (0..whole.len()).filter(|end| *end != 12) {
            assert_eq!(StatusPayload::decode(&whole[..end]), None, "{end} bytes");
        }
    }
}
