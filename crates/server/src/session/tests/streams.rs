//! Streams of requests, cut anywhere, and bytes that make no sense.

use super::*;

/// Sends a mix of requests through a pipe of this size, and gives all that comes back.
async fn mix(pipe: usize) -> Vec<u8> {
    let (client, _stop, session) = memory(pipe);
    let (mut from, mut to) = tokio::io::split(client);
    let mut requests = BytesMut::new();
    for cookie in 0..40u64 {
        let value = u8::try_from(cookie).unwrap();
        requests.extend_from_slice(&write(cookie, cookie * 50, &[value; 60]));
        requests.extend_from_slice(&reads(cookie..cookie + 1, 500));
        requests.extend_from_slice(&bytes(&[header(Command::Other(99), cookie, 0, 0)]));
        requests.extend_from_slice(&bytes(&[header(Command::WriteZeroes, cookie, 3, 30)]));
    }
    requests.extend_from_slice(&bytes(&[header(Command::Disconnect, 0, 0, 0)]));
    let send = tokio::spawn(async move { to.write_all_buf(&mut requests).await });
    let mut replies = Vec::new();
    from.read_to_end(&mut replies).await.unwrap();
    send.await.unwrap().unwrap();
    assert!(matches!(session.await.unwrap(), End::Disconnected));
    replies
}

#[tokio::test]
async fn the_size_of_the_pipe_does_not_matter() {
    let whole = mix(1 << 20).await;
    assert_eq!(whole.len(), 40 * (4 * 16 + 500));
    for pipe in [1, 7, 64, 4096] {
        assert_eq!(mix(pipe).await, whole, "a pipe of {pipe} bytes");
    }
}

#[tokio::test]
async fn any_bytes_are_taken_without_harm() {
    let mut state = 1u64;
    for _ in 0..200 {
        let (client, _stop, session) = memory(1 << 16);
        let (mut from, mut to) = tokio::io::split(client);
        let mut noise = BytesMut::new();
        for _ in 0..50 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let [a, b, c, d, e, f, ..] = state.to_be_bytes();
            let (flags, number) = (u16::from(a & 3), u16::from(b % 9));
            RequestHeader {
                command: Command::from_number(if number == 2 { 77 } else { number }),
                flags: CommandFlags::from_bits(flags),
                cookie: Cookie(state),
                offset: u64::from(c) << 12 | u64::from(d),
                length: u64::from(e) << 8 | u64::from(f),
            }
            .encode(&mut noise, Dialect::Simple);
        }
        let send = tokio::spawn(async move {
            let _ = to.write_all_buf(&mut noise).await;
            let _ = to.shutdown().await;
        });
        let mut replies = Vec::new();
        from.read_to_end(&mut replies).await.unwrap();
        send.await.unwrap();
        session.await.unwrap();
        assert!(replies.as_slice().remaining() < 50 << 16);
    }
}
