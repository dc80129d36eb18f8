use proptest::prelude::*;

use super::super::message::Start;
use super::*;

/// Reads `text` that arrives in pieces of `size` bytes, on a connection with two channels.
fn read(text: &[u8], size: usize) -> Result<Vec<Received>, ConnectionError> {
    let mut input = Input { channels: 2, ..Input::default() };
    let mut messages = Vec::new();
    for piece in text.chunks(size) {
        input.bytes.extend_from_slice(piece);
        while let Some(received) = input.take()? {
            messages.push(received);
        }
        assert!(input.bytes.len() <= MAX_HEAD + MAX_BODY + size);
    }
    Ok(messages)
}

/// The frames in the order of their arrival, each without its head.
fn payloads(received: &[Received]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for one in received {
        let Received::Frames(frames) = one else { continue };
        let mut rest = &frames[..];
        while let [b'$', _, high, low, behind @ ..] = rest {
            let (payload, next) = behind.split_at(u16::from_be_bytes([*high, *low]).into());
            all.push(payload.to_vec());
            rest = next;
        }
    }
    all
}

#[test]
fn messages_are_read_from_pieces_of_any_size() {
    let text = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 5\r\n\r\na\r\n\r\n\r\n$\x00\x00\x03\x80bc\
                 OPTIONS rtsp://10.0.0.1/x RTSP/1.0\r\nCSeq: 2\r\n\r\n";
    for size in [1, 2, 7, 1000] {
        match read(text, size).unwrap().as_slice() {
            [Received::Message(response), Received::Frames(frames), Received::Message(request)] => {
                assert_eq!(response.body[..], *b"a\r\n\r\n");
                assert_eq!(&frames[..], b"$\x00\x00\x03\x80bc");
                let options = Start::Request { method: "OPTIONS".into(), uri: "rtsp://10.0.0.1/x".into() };
                assert_eq!(request.start, options);
            }
            other => panic!("{size}: {other:?}"),
        }
    }
}

#[test]
fn lines_may_end_in_a_line_feed_alone() {
    for text in [
        "RTSP/1.0 200 OK\nCSeq: 1\n\n",
        "RTSP/1.0 200 OK\r\nCSeq: 1\n\r\n",
        "RTSP/1.0 200 OK\r\r\nCSeq: 1\r\r\n\r\r\n",
    ] {
        for size in [1, 1000] {
            match read(text.as_bytes(), size).unwrap().as_slice() {
                [Received::Message(message)] => {
                    assert_eq!(message.headers.get("cseq"), Some("1"), "{text:?}");
                }
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn requests_of_unknown_methods_are_read_and_broken_messages_are_skipped() {
    let text =
        b"RTSP/1.0 200 OK\r\n\r\n$\x00\x00\x03\x80abX_STATUS rtsp://10.0.0.1/x RTSP/1.0\r\nCSeq: 2\r\n\r\n\
                 $\x01\x00\x03\x81cdRTSP/1.0 ?\r\n\r\n$\x00\x00\x03\x80ef";
    for size in [1, 2, 7, 1000] {
        let received = read(text, size).unwrap();
        assert_eq!(payloads(&received), [b"\x80ab", b"\x81cd", b"\x80ef"], "{size}");
        let messages = received.iter().filter(|received| matches!(received, Received::Message(_)));
        assert_eq!(messages.count(), 2, "{size}");
    }
}

#[test]
fn stray_bytes_between_frames_are_skipped() {
    let [first, second] = [b"$\x00\x00\x03\x80ab", b"$\x01\x00\x03\x81cd"];
    for stray in [
        &b"garbage"[..],
        b"$",
        b"$$$",
        b"$\x00\x00\x05",
        b"$\x09\x00\x02\x80\x80\x80",
        b"$\x00\x00\x02ab\x01",
        b"RTS",
        b"\0\0",
    ] {
        for size in [1, 3, 1000] {
            let read = read(&[first, stray, first, second, first].concat(), size).unwrap();
            let got = payloads(&read);
            assert!(got.len() >= 3, "{stray:?}: {got:?}");
            assert_eq!(got[got.len() - 2..], [second[4..].to_vec(), first[4..].to_vec()], "{stray:?}");
        }
    }
    let read = read(&[first, &b"garbage"[..], b"RTSP/1.0 200 OK\r\n\r\n", first].concat(), 1000).unwrap();
    assert!(matches!(
        read.as_slice(),
        [Received::Frames(_), Received::Stray, Received::Message(_), Received::Frames(_)]
    ));
}

#[test]
fn a_message_without_an_end_costs_no_frame() {
    let (whole, frame) = (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", b"$\x00\x00\x03\x80ab");
    for cut in ["RTSP/1.0 200 OK\r\nCSeq: 2\r\n", "RTSP/1.0 200 OK\r\nCSe", "RTSP/1.0 200 OK\r\nX: "] {
        for size in [1, 5, 1000] {
            let text = [&whole[..], frame, cut.as_bytes(), frame, frame, whole, frame].concat();
            assert_eq!(payloads(&read(&text, size).unwrap()).len(), 4, "{cut:?} in pieces of {size}");
        }
    }
    for bad in
        [&b"RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n"[..], &[b'A'; 100_000], b"RTSP/1.0 ?\r\n\r\n"]
    {
        let text = [&whole[..], frame, bad, frame].concat();
        assert_eq!(payloads(&read(&text, 1000).unwrap()).len(), 2);
    }
    let endless = [&whole[..], frame, b"RTSP/1.0 200 OK\r\nX: ", &[b'x'; 100_000], frame].concat();
    assert_eq!(payloads(&read(&endless, 1000).unwrap()).len(), 2);
}

#[test]
fn a_web_server_is_detected() {
    for bytes in [&b"<!DOCTYPE HTML>"[..], b"HTTP/1.0 400 Bad\r\n\r\n"] {
        assert!(matches!(read(bytes, 1000), Err(ConnectionError::Malformed)));
        assert!(Input { bytes: bytes.into(), ..Input::default() }.is_of_another_protocol());
    }
    let noise = b"\xa7\x13\r\n\x00\xff".repeat(20_000);
    assert!(matches!(read(&noise, 1000), Err(ConnectionError::Malformed)));
}

#[test]
fn too_long_messages_are_rejected_before_they_are_buffered() {
    let endless = [b"RTSP/1.0 200 OK\r\nX: ".as_slice(), &[b'x'; 100_000]].concat();
    assert!(matches!(read(&endless, 1000), Err(ConnectionError::LongHead)));
    let large = b"RTSP/1.0 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
    assert!(matches!(read(large, 1000), Err(ConnectionError::LongBody)));
    let whole = [b"RTSP/1.0 200 OK\r\nContent-Length: 1048577\r\n\r\n".as_slice(), &[0; 1_048_577]].concat();
    assert!(matches!(read(&whole, whole.len()), Err(ConnectionError::LongBody)));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_accepted_or_rejected(
        bytes in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'$'), Just(0x80), any::<u8>()], 0..300),
        size in 1usize..50,
    ) {
        let _ = read(&bytes, size);
        let _ = read(&[b"RTSP/1.0 200 OK\r\nContent-Length: 10\r\n".as_slice(), &bytes].concat(), size);
    }

    #[test]
    fn frames_come_out_whatever_the_sizes_of_the_reads(
        lengths in prop::collection::vec(1usize..60, 1..20),
        size in 1usize..100,
    ) {
        let frames: Vec<Vec<u8>> = lengths.iter().map(|&length| {
            [&[b'$', (length % 2) as u8, 0, length as u8, 0x80][..], &vec![length as u8; length - 1]].concat()
        }).collect();
        let read = read(&frames.concat(), size).unwrap();
        let wanted: Vec<Vec<u8>> = frames.iter().map(|frame| frame[4..].to_vec()).collect();
        prop_assert_eq!(payloads(&read), wanted);
    }
}
