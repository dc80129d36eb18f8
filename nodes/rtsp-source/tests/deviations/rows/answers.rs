//! How cameras answer requests (RFC 2326).

use rtsp_types::Method;

use super::description::without_lines;
use crate::camera::Camera;
use crate::row::{Row, whole};

pub(crate) fn rows() -> Vec<Row> {
    [heads(), describe(), setup(), play(), others()].concat()
}

/// What is true of every answer.
fn heads() -> Vec<Row> {
    vec![
        whole("answer: no reason", |c| c.answers("200 OK", "200")),
        whole("answer: a blank instead of a reason", |c| c.answers("200 OK", "200 ")),
        whole("answer: two blanks in the status", |c| c.answers("RTSP/1.0 200", "RTSP/1.0  200")),
        whole("answer: a reason of three words", |c| c.answers("200 OK", "200 All is well")),
        whole("answer: rtsp in lower case", |c| c.answers("RTSP/1.0", "rtsp/1.0")),
        whole("answer: RTSP/1.1", |c| c.answers("RTSP/1.0", "RTSP/1.1")),
        whole("answer: names in lower case", |c| c.answers_text(|text| names(&text, str::to_lowercase))),
        whole("answer: names in upper case", |c| c.answers_text(|text| names(&text, str::to_uppercase))),
        whole("answer: no blank behind the colon", |c| c.answers(": ", ":")),
        whole("answer: three blanks behind the colon", |c| c.answers(": ", ":   ")),
        whole("answer: a tab behind the colon", |c| c.answers(": ", ":\t")),
        whole("answer: blanks at the ends of lines", |c| {
            c.answers("\r\nSession: 4711", " \r\nSession: 4711  ");
        }),
        whole("answer: LF ends lines", |c| c.answers("\r\n", "\n")),
        whole("answer: an empty line before it", |c| c.answers("RTSP/1.0", "\r\nRTSP/1.0")),
        whole("answer: three empty lines before it", |c| c.answers("RTSP/1.0", "\r\n\r\n\r\nRTSP/1.0")),
        whole("answer: a line without a colon", |c| c.answers("\r\nCSeq", "\r\ngarbage\r\nCSeq")),
        whole("answer: a header without a name", |c| c.answers("\r\nCSeq", "\r\n: x\r\nCSeq")),
        whole("answer: a header without a value", |c| c.answers("\r\nCSeq", "\r\nServer:\r\nCSeq")),
        whole("answer: a header that is no ASCII", |c| c.answers("\r\nCSeq", "\r\nServer: Straße\r\nCSeq")),
        whole("answer: a header name with a blank in it", |c| c.answers("\r\nCSeq", "\r\nX Y: z\r\nCSeq")),
        whole("answer: a header of 3000 bytes", |c| {
            c.answers_text(|text| {
                text.replacen("\r\nCSeq", &format!("\r\nX: {}\r\nCSeq", "x".repeat(3000)), 1)
            });
        }),
        whole("answer: 60 further headers", |c| {
            c.answers_text(|text| text.replacen("CSeq", &format!("{}CSeq", "X-Y: z\r\n".repeat(60)), 1));
        }),
        whole("answer: a folded header", |c| c.answers("\r\nCSeq", "\r\nServer: a\r\n b\r\nCSeq")),
        whole("answer: CSeq twice", |c| {
            c.answers_text(|text| {
                let line = text.lines().find(|line| line.starts_with("CSeq")).expect("a CSeq").to_owned();
                text.replacen(&line, &format!("{line}\r\n{line}"), 1)
            });
        }),
        whole("answer: CSeq with a zero before", |c| c.answers("CSeq: ", "CSeq: 0")),
        whole("answer: CSeq as the last header", |c| {
            c.answers_text(|text| {
                let line = text.lines().find(|line| line.starts_with("CSeq")).expect("a CSeq").to_owned();
                text.replacen(&format!("{line}\r\n"), "", 1)
                    .replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"))
            });
        }),
        whole("answer: without CSeq", |c| c.answers_text(|text| without_lines(&text, "CSeq"))),
        whole("answer: another CSeq", |c| c.answers("CSeq: ", "CSeq: 7")),
        whole("answer: Content-Length 0", |c| {
            c.answers_text(|text| match text.contains("Content-Length") {
                true => text,
                false => text.replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n"),
            });
        }),
    ]
}

fn describe() -> Vec<Row> {
    vec![
        whole("Content-Type: with a charset", |c| {
            c.answer(Method::Describe, "application/sdp", "application/sdp; charset=utf-8");
        }),
        whole("Content-Type: in upper case", |c| {
            c.answer(Method::Describe, "application/sdp", "Application/SDP");
        }),
        whole("Content-Type: missing", |c| c.answers_text(|text| without_lines(&text, "Content-Type"))),
        whole("Content-Type: text/plain", |c| c.answer(Method::Describe, "application/sdp", "text/plain")),
        whole("Content-Type: with a semicolon behind", |c| {
            c.answer(Method::Describe, "application/sdp", "application/sdp;");
        }),
        whole("Content-Type: twice", |c| {
            let twice = "application/sdp\r\nContent-Type: application/sdp";
            c.answer(Method::Describe, "application/sdp", twice);
        }),
        whole("Content-Base: missing", |c| c.answers_text(|text| without_lines(&text, "Content-Base"))),
        whole("Content-Base: without a slash at its end", |c| c.answer(Method::Describe, "/main/", "/main")),
        whole("Content-Base: of another host", |c| {
            c.answers_text(|text| base(&text, "rtsp://192.0.2.1/main/"));
        }),
        whole("Content-Base: of a host with a port that is no number", |c| {
            c.answers_text(|text| base(&text, "rtsp://192.0.2.1:x/main/"));
        }),
        whole("Content-Base: relative", |c| c.answers_text(|text| base(&text, "main/"))),
        whole("Content-Base: empty", |c| c.answers_text(|text| base(&text, ""))),
        whole("Content-Base: in quotes", |c| {
            c.answers_text(|text| base(&text, "\"rtsp://192.0.2.1/main/\""));
        }),
        whole("Content-Base: with blanks in it", |c| {
            c.answers_text(|text| base(&text, "rtsp://192.0.2.1/main stream/"));
        }),
        whole("Content-Location: instead of Content-Base", |c| {
            c.answer(Method::Describe, "Content-Base", "Content-Location");
        }),
        whole("Content-Length: with blanks around", |c| {
            c.answers_text(|text| match text.contains("Content-Length: ") {
                true => {
                    text.replace("Content-Length: ", "Content-Length:   ").replace("\r\n\r\n", " \r\n\r\n")
                }
                false => text,
            });
        }),
        whole("Content-Length: with zeros before", |c| c.answers("Content-Length: ", "Content-Length: 000")),
        whole("Content-Length: in lower case", |c| c.answers("Content-Length", "Content-length")),
    ]
}

fn setup() -> Vec<Row> {
    vec![
        whole("Transport: without interleaved", |c| {
            c.answers_text(|text| transport(&text, "RTP/AVP/TCP;unicast"));
        }),
        whole("Transport: only the protocol", |c| c.answers_text(|text| transport(&text, "RTP/AVP/TCP"))),
        whole("Transport: with blanks", |c| c.answers(";unicast;interleaved=", "; unicast; interleaved=")),
        whole("Transport: with blanks around =", |c| c.answers(";interleaved=", ";interleaved = ")),
        whole("Transport: in upper case", |c| c.answers(";unicast;interleaved=", ";UNICAST;INTERLEAVED=")),
        whole("Transport: in lower case", |c| c.answers("RTP/AVP/TCP", "rtp/avp/tcp")),
        whole("Transport: other channels", |c| {
            c.answers_text(|text| transport(&text, "RTP/AVP/TCP;unicast;interleaved=4-5"));
            c.channel = Some(4);
        }),
        whole("Transport: large channels", |c| {
            c.answers_text(|text| transport(&text, "RTP/AVP/TCP;unicast;interleaved=254-255"));
            c.channel = Some(254);
        }),
        whole("Transport: one channel", |c| {
            c.answers_text(|text| transport(&text, "RTP/AVP/TCP;unicast;interleaved=0"));
        }),
        whole("Transport: interleaved without a value", |c| {
            c.answers_text(|text| transport(&text, "RTP/AVP/TCP;unicast;interleaved"));
        }),
        whole("Transport: with another ssrc", |c| c.answers("ssrc=6D736967", "ssrc=00000001")),
        whole("Transport: with an ssrc that is no number", |c| c.answers("ssrc=6D736967", "ssrc=xyz")),
        whole("Transport: with an ssrc of ten digits", |c| c.answers("ssrc=6D736967", "ssrc=006D736967")),
        whole("Transport: with an ssrc in 0x", |c| c.answers("ssrc=6D736967", "ssrc=0x6D736967")),
        whole("Transport: with an ssrc with a blank before", |c| {
            c.answers("ssrc=6D736967", "ssrc= 6D736967");
        }),
        whole("Transport: with an empty ssrc", |c| c.answers("ssrc=6D736967", "ssrc=")),
        whole("Transport: with mode=play", |c| c.answers(";ssrc=", ";mode=play;ssrc=")),
        whole("Transport: with mode=\"PLAY\"", |c| c.answers(";ssrc=", ";mode=\"PLAY\";ssrc=")),
        whole("Transport: with ports too", |c| {
            c.answers(";ssrc=", ";client_port=0-1;server_port=6970-6971;ssrc=");
        }),
        whole("Transport: with source and destination", |c| {
            c.answers(";ssrc=", ";destination=192.0.2.1;source=192.0.2.2;ssrc=");
        }),
        whole("Transport: with a semicolon behind", |c| c.answers("ssrc=6D736967", "ssrc=6D736967;")),
        whole("Transport: with empty parameters", |c| c.answers(";unicast;", ";;unicast;;")),
        whole("Transport: RTP/AVP with channels", |c| c.answers("RTP/AVP/TCP", "RTP/AVP")),
        whole("Session: timeout with blanks", |c| c.answers(";timeout=60", " ; timeout = 60")),
        whole("Session: Timeout in upper case", |c| c.answers(";timeout=60", ";Timeout=60")),
        whole("Session: timeout that is no number", |c| c.answers(";timeout=60", ";timeout=none")),
        whole("Session: timeout 0", |c| c.answers(";timeout=60", ";timeout=0")),
        whole("Session: timeout without a value", |c| c.answers(";timeout=60", ";timeout")),
        whole("Session: timeout with a fraction", |c| c.answers(";timeout=60", ";timeout=60.5")),
        whole("Session: with a semicolon behind", |c| c.answers(";timeout=60", ";")),
        whole("Session: with unknown parameters", |c| c.answers(";timeout=60", ";x=y;timeout=60;z")),
        whole("Session: with odd characters", |c| c.answers("Session: 4711", "Session: {a/b+c}$1.0")),
        whole("Session: of 200 characters", |c| {
            c.answers_text(|text| text.replace("Session: 4711", &format!("Session: {}", "4711".repeat(50))));
        }),
        whole("Session: missing from the answer to SETUP", |c| {
            c.answer(Method::Setup, "Session: 4711;timeout=60\r\n", "");
        }),
        whole("Session: missing from the answer to PLAY", |c| {
            c.answer(Method::Play, "Session: 4711\r\n", "");
        }),
        whole("Session: another one in the answer to PLAY", |c| c.answer(Method::Play, "4711", "4712")),
    ]
}

fn play() -> Vec<Row> {
    vec![
        whole("RTP-Info: missing", |c| c.answers_text(|text| without_lines(&text, "RTP-Info"))),
        whole("RTP-Info: empty", |c| c.answers_text(|text| info(&text, ""))),
        whole("RTP-Info: garbage", |c| c.answers_text(|text| info(&text, "!?,;=;,"))),
        whole("RTP-Info: only the URL", |c| c.answers_text(|text| info(&text, "url=track"))),
        whole("RTP-Info: another URL", |c| {
            c.answers_text(|text| info(&text, "url=rtsp://192.0.2.1/x;seq=1000"));
        }),
        whole("RTP-Info: without a URL", |c| c.answers_text(|text| info(&text, "seq=1000;rtptime=5000000"))),
        whole("RTP-Info: with blanks", |c| c.answers(";seq=", "; seq = ")),
        whole("RTP-Info: URL in quotes", |c| c.answers_text(|text| info(&text, "url=\"track\";seq=1000"))),
        whole("RTP-Info: sequence number 0", |c| c.answers("seq=1000", "seq=0")),
        whole("RTP-Info: sequence number behind", |c| c.answers("seq=1000", "seq=900")),
        whole("RTP-Info: sequence number ahead", |c| c.answers("seq=1000", "seq=1100")),
        whole("RTP-Info: sequence number far ahead", |c| c.answers("seq=1000", "seq=40000")),
        whole("RTP-Info: sequence number of 17 bits", |c| c.answers("seq=1000", "seq=66536")),
        whole("RTP-Info: negative sequence number", |c| c.answers("seq=1000", "seq=-1")),
        whole("RTP-Info: rtptime 0", |c| c.answers("rtptime=5000000", "rtptime=0")),
        whole("RTP-Info: rtptime ahead by a day", |c| c.answers("rtptime=5000000", "rtptime=3486640000")),
        whole("RTP-Info: rtptime of 64 bits", |c| c.answers("rtptime=5000000", "rtptime=123456789012345")),
        whole("RTP-Info: negative rtptime", |c| c.answers("rtptime=5000000", "rtptime=-1")),
        whole("RTP-Info: of a further track", |c| {
            c.answers("RTP-Info: ", "RTP-Info: url=other;seq=1;rtptime=1,");
        }),
        whole("Range: missing", |c| c.answers_text(|text| without_lines(&text, "Range"))),
        whole("Range: clock", |c| c.answers("npt=0.000-", "clock=20261128T133000Z-")),
        whole("Range: garbage", |c| c.answers("npt=0.000-", "!?")),
    ]
}

/// OPTIONS, keepalives, and what a camera sends unasked.
fn others() -> Vec<Row> {
    vec![
        whole("OPTIONS: 501", |c| c.answer(Method::Options, "200 OK", "501 Not Implemented")),
        whole("OPTIONS: 404", |c| c.answer(Method::Options, "200 OK", "404 Not Found")),
        whole("OPTIONS: 551", |c| c.answer(Method::Options, "200 OK", "551 Option not supported")),
        whole("OPTIONS: without Public", |c| c.answers_text(|text| without_lines(&text, "Public"))),
        whole("OPTIONS: empty Public", |c| {
            c.answer(Method::Options, "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER", "");
        }),
        whole("OPTIONS: Public without GET_PARAMETER", |c| c.answer(Method::Options, ", GET_PARAMETER", "")),
        whole("keepalive: 501", |c| keepalive(c, "501 Not Implemented")),
        whole("keepalive: 405", |c| keepalive(c, "405 Method Not Allowed")),
        whole("keepalive: 454", |c| keepalive(c, "454 Session Not Found")),
        whole("keepalive: 400 without CSeq", |c| {
            keepalive(c, "400 Bad Request");
            c.answer(Method::GetParameter, "CSeq: ", "X: ");
        }),
        whole("request of the camera: OPTIONS", |c| asks(c, "OPTIONS", "")),
        whole("request of the camera: ANNOUNCE", |c| {
            asks(c, "ANNOUNCE", "Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n");
        }),
        whole("request of the camera: SET_PARAMETER", |c| {
            asks(c, "SET_PARAMETER", "Content-Length: 0\r\n\r\n");
        }),
        whole("request of the camera: REDIRECT", |c| {
            asks(c, "REDIRECT", "Location: rtsp://192.0.2.1/\r\n\r\n");
        }),
        whole("request of the camera: unknown method", |c| asks(c, "X_STATUS", "")),
        whole("answer that nothing asked for", |c| {
            c.blocks(|frame, mut blocks| {
                let answer = b"RTSP/1.0 200 OK\r\nCSeq: 999\r\n\r\n";
                (frame == 12).then(|| blocks.insert(0, answer.to_vec()));
                blocks
            });
        }),
    ]
}

/// The camera answers keepalives like this. One is due every half second.
fn keepalive(c: &mut Camera, status: &'static str) {
    c.timeout = 1;
    c.answer(Method::GetParameter, "200 OK", status);
}

/// The camera sends a request before frames 12 and 20.
fn asks(c: &mut Camera, method: &'static str, rest: &'static str) {
    let end = if rest.is_empty() { "\r\n" } else { rest };
    c.blocks(move |frame, mut blocks| {
        let request =
            format!("{method} rtsp://127.0.0.1/main RTSP/1.0\r\nCSeq: {frame}\r\nSession: 4711\r\n{end}");
        if [12, 20].contains(&frame) {
            blocks.insert(0, request.into_bytes());
        }
        blocks
    });
}

/// With the names of all headers changed.
fn names(text: &str, change: fn(&str) -> String) -> String {
    let line = |line: &str| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}\r\n", change(name)),
        None => format!("{line}\r\n"),
    };
    text.lines().map(line).collect()
}

fn transport(text: &str, value: &str) -> String {
    replace_header(text, "Transport", value)
}

fn info(text: &str, value: &str) -> String {
    replace_header(text, "RTP-Info", value)
}

fn base(text: &str, value: &str) -> String {
    replace_header(text, "Content-Base", value)
}

fn replace_header(text: &str, name: &str, value: &str) -> String {
    let line = |line: &str| match line.starts_with(name) {
        true => format!("{name}: {value}\r\n"),
        false => line.to_owned(),
    };
    text.split_inclusive('\n').map(line).collect()
}
