//! A line on the control socket: any bytes are a request or a reply, or are refused, and one reads back as it is written.

use crate::control::{ControlReply, ControlRequest};

pub(crate) fn check(data: &[u8]) {
    if let Ok(request) = serde_json::from_slice::<ControlRequest>(data) {
        let again = serde_json::to_vec(&request).expect("it has string keys and finite numbers");
        assert_eq!(serde_json::from_slice::<ControlRequest>(&again).ok(), Some(request));
    }
    if let Ok(reply) = serde_json::from_slice::<ControlReply>(data) {
        let again = serde_json::to_vec(&reply).expect("it has string keys and finite numbers");
        assert_eq!(serde_json::from_slice::<ControlReply>(&again).ok(), Some(reply));
    }
}
