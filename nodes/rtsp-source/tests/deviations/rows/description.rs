//! What cameras write in their description (RFC 8866).

use crate::row::{Row, whole};

/// The `fmtp` parameters of the well-behaved camera before its parameter sets.
const FMTP: &str = "packetization-mode=1;profile-level-id=42C00D;";

/// A track that comes first and cannot be read.
const UNREADABLE: &str = "m=video 0 RTP/AVP 97\r\na=rtpmap:97 X-UNKNOWN/90000\r\na=control:other\r\n";
const AUDIO: &str = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000/1\r\n\
     a=fmtp:97 streamtype=5;mode=AAC-hbr;config=1408;sizelength=13;indexlength=3;indexdeltalength=3\r\n\
     a=control:other\r\n";

pub(crate) fn rows() -> Vec<Row> {
    [session(), lines(), parameters(), tracks(), controls()].concat()
}

fn session() -> Vec<Row> {
    vec![
        whole("sdp: without v=", |c| c.sdp("v=0\r\n", "")),
        whole("sdp: without o=", |c| c.sdp("o=- 1 1 IN IP4 127.0.0.1\r\n", "")),
        whole("sdp: without s=", |c| c.sdp("s=Stream\r\n", "")),
        whole("sdp: without t=", |c| c.sdp("t=0 0\r\n", "")),
        whole("sdp: without c=", |c| c.sdp("c=IN IP4 0.0.0.0\r\n", "")),
        whole("sdp: nothing before m=", |c| c.sdp_text(|text| from_media(&text).to_owned())),
        whole("sdp: only m= and rtpmap", |c| {
            c.sdp_text(|text| from_media(&text).lines().take(2).map(|line| format!("{line}\r\n")).collect());
        }),
        whole("sdp: v=1", |c| c.sdp("v=0", "v=1")),
        whole("sdp: empty s=", |c| c.sdp("s=Stream", "s=")),
        whole("sdp: s= with a blank before its value", |c| c.sdp("s=Stream", "s= Stream")),
        whole("sdp: o= of four fields", |c| c.sdp("o=- 1 1 IN IP4 127.0.0.1", "o=- 1 IN IP4")),
        whole("sdp: o= with a name of two words", |c| c.sdp("o=- 1", "o=IP Camera 1")),
        whole("sdp: o= with a number of 30 digits", |c| c.sdp("o=- 1", "o=- 123456789012345678901234567890")),
        whole("sdp: c= of one field", |c| c.sdp("c=IN IP4 0.0.0.0", "c=IN")),
        whole("sdp: c= with a host of IPv6", |c| c.sdp("c=IN IP4 0.0.0.0", "c=IN IP6 ::")),
        whole("sdp: t= of one field", |c| c.sdp("t=0 0", "t=0")),
        whole("sdp: t= that is no number", |c| c.sdp("t=0 0", "t=now")),
        whole("sdp: t= before s=", |c| {
            c.sdp("s=Stream\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n", "t=0 0\r\nc=IN IP4 0.0.0.0\r\ns=Stream\r\n");
        }),
        whole("sdp: b= without a value", |c| c.sdp("t=0 0\r\n", "b=\r\nt=0 0\r\n")),
        whole("sdp: b= with a fraction", |c| c.sdp("t=0 0\r\n", "b=AS:4096.5\r\nt=0 0\r\n")),
        whole("sdp: range of the session", |c| c.sdp("t=0 0\r\n", "t=0 0\r\na=range:npt=now-\r\n")),
    ]
}

fn lines() -> Vec<Row> {
    vec![
        whole("sdp: LF ends lines", |c| c.sdp("\r\n", "\n")),
        whole("sdp: CR ends lines", |c| c.sdp("\r\n", "\r")),
        whole("sdp: CR CR LF ends lines", |c| c.sdp("\r\n", "\r\r\n")),
        whole("sdp: last line without an end", |c| c.sdp("a=control:track\r\n", "a=control:track")),
        whole("sdp: empty lines between lines", |c| c.sdp("\r\n", "\r\n\r\n")),
        whole("sdp: blanks at ends of lines", |c| c.sdp("\r\n", " \r\n")),
        whole("sdp: blanks at beginnings of lines", |c| c.sdp("\r\n", "\r\n ")),
        whole("sdp: NUL at its end", |c| c.sdp("a=control:track\r\n", "a=control:track\r\n\0")),
        whole("sdp: several NULs at its end", |c| c.sdp("a=control:track\r\n", "a=control:track\r\n\0\0\0")),
        whole("sdp: byte order mark", |c| c.sdp("v=0", "\u{feff}v=0")),
        whole("sdp: Latin-1", |c| {
            c.sdp("s=Stream", "s=Straße");
            c.encode = |text| text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect();
        }),
        whole("sdp: line without =", |c| c.sdp("t=0 0\r\n", "t=0 0\r\ngarbage\r\n")),
        whole("sdp: line of an unknown type", |c| c.sdp("t=0 0\r\n", "t=0 0\r\nq=1\r\n")),
        whole("sdp: line of one letter", |c| c.sdp("t=0 0\r\n", "t=0 0\r\na\r\n")),
        whole("sdp: a= without a value", |c| c.sdp("t=0 0\r\n", "t=0 0\r\na=\r\n")),
        whole("sdp: line of 2000 bytes", |c| {
            c.sdp_text(|text| text.replace("t=0 0\r\n", &format!("t=0 0\r\na=x:{}\r\n", "x".repeat(2000))));
        }),
        whole("sdp: 100 unknown attributes", |c| {
            c.sdp_text(|text| text.replace("t=0 0\r\n", &format!("t=0 0\r\n{}", "a=x-y:z\r\n".repeat(100))));
        }),
    ]
}

fn parameters() -> Vec<Row> {
    vec![
        whole("sdp: h264 in lower case", |c| c.sdp("H264", "h264")),
        whole("sdp: rtpmap with blanks", |c| c.sdp("rtpmap:96 H264", "rtpmap: 96  H264")),
        whole("sdp: rtpmap with a trailing slash", |c| c.sdp("H264/90000", "H264/90000/")),
        whole("sdp: rtpmap with channels", |c| c.sdp("H264/90000", "H264/90000/1")),
        whole("sdp: rtpmap with a blank behind", |c| c.sdp("H264/90000", "H264/90000 ")),
        whole("sdp: rtpmap after fmtp", |c| {
            c.sdp_text(|text| {
                let map = "a=rtpmap:96 H264/90000\r\n";
                text.replace(map, "").replace("a=control:track\r\n", &format!("a=control:track\r\n{map}"))
            });
        }),
        whole("sdp: rtpmap twice", |c| {
            c.sdp("a=rtpmap:96 H264/90000\r\n", "a=rtpmap:96 H264/90000\r\na=rtpmap:96 H264/90000\r\n");
        }),
        whole("sdp: rtpmap of another type beside", |c| {
            c.sdp("a=rtpmap:96", "a=rtpmap:97 JPEG/90000\r\na=rtpmap:96");
        }),
        whole("sdp: two types in m=", |c| c.sdp("RTP/AVP 96", "RTP/AVP 96 97")),
        whole("sdp: m= with a port and a count", |c| c.sdp("m=video 0 ", "m=video 5004/2 ")),
        whole("sdp: m= with blanks", |c| c.sdp("m=video 0 RTP/AVP 96", "m=video  0  RTP/AVP  96 ")),
        whole("sdp: m= with RTP/AVP/TCP", |c| c.sdp("RTP/AVP", "RTP/AVP/TCP")),
        whole("sdp: the video is recvonly", |c| c.sdp("a=control:track", "a=recvonly\r\na=control:track")),
        whole("sdp: the video is sendonly", |c| c.sdp("a=control:track", "a=sendonly\r\na=control:track")),
        whole("sdp: the video is sendrecv", |c| c.sdp("a=control:track", "a=sendrecv\r\na=control:track")),
        whole("sdp: the video is inactive", |c| c.sdp("a=control:track", "a=inactive\r\na=control:track")),
        whole("sdp: m= with RTP/SAVPF", |c| c.sdp("RTP/AVP", "RTP/SAVPF")),
        whole("sdp: without fmtp", |c| c.sdp_text(|text| without_lines(&text, "a=fmtp"))),
        whole("sdp: fmtp with blanks", |c| {
            c.sdp(FMTP, "packetization-mode = 1 ; profile-level-id = 42C00D ; ");
        }),
        whole("sdp: fmtp with a trailing semicolon", |c| {
            c.sdp("\r\na=control:track", ";\r\na=control:track");
        }),
        whole("sdp: fmtp with empty parameters", |c| c.sdp(FMTP, ";;packetization-mode=1;;")),
        whole("sdp: fmtp in upper case", |c| c.sdp("sprop-parameter-sets", "SPROP-PARAMETER-SETS")),
        whole("sdp: fmtp in quotes", |c| c.sdp("packetization-mode=1", "packetization-mode=\"1\"")),
        whole("sdp: fmtp without values", |c| c.sdp(FMTP, "packetization-mode;profile-level-id;")),
        whole("sdp: fmtp without a type", |c| c.sdp("a=fmtp:96 ", "a=fmtp:")),
        whole("sdp: fmtp of another type beside", |c| c.sdp("a=fmtp:96", "a=fmtp:97 x=y\r\na=fmtp:96")),
        whole("sdp: packetization-mode 0 with fragments", |c| {
            c.sdp("packetization-mode=1", "packetization-mode=0");
        }),
        whole("sdp: packetization-mode 7", |c| c.sdp("packetization-mode=1", "packetization-mode=7")),
        whole("sdp: profile-level-id of one byte", |c| c.sdp("42C00D", "42")),
        whole("sdp: profile-level-id that is no number", |c| c.sdp("42C00D", "baseline")),
        whole("sdp: parameter sets that are no base64", |c| c.sdp("parameter-sets=", "parameter-sets=%%%")),
        whole("sdp: parameter sets are empty", |c| c.sdp_text(|text| sets(&text, |_, _| String::new()))),
        whole("sdp: parameter sets without PPS", |c| c.sdp_text(|text| sets(&text, |sps, _| sps.to_owned()))),
        whole("sdp: parameter sets without SPS", |c| c.sdp_text(|text| sets(&text, |_, pps| pps.to_owned()))),
        whole("sdp: parameter sets in the other order", |c| {
            c.sdp_text(|text| sets(&text, |sps, pps| format!("{pps},{sps}")));
        }),
        whole("sdp: parameter sets with a trailing comma", |c| {
            c.sdp_text(|text| sets(&text, |sps, pps| format!("{sps},{pps},")));
        }),
        whole("sdp: parameter sets with blanks", |c| {
            c.sdp_text(|text| sets(&text, |sps, pps| format!("{sps}, {pps}")));
        }),
        whole("sdp: parameter sets without padding", |c| {
            c.sdp_text(|text| sets(&text, |sps, pps| format!("{sps},{pps}").replace('=', "")));
        }),
        whole("sdp: parameter sets with start codes", |c| {
            c.sdp_text(|text| sets(&text, |sps, pps| format!("AAAAAQ=={sps},AAAAAQ=={pps}")));
        }),
        whole("sdp: parameter sets cut in their middle", |c| {
            c.sdp_text(|text| sets(&text, |sps, pps| format!("{},{pps}", &sps[..8])));
        }),
    ]
}

fn tracks() -> Vec<Row> {
    vec![
        whole("sdp: an unreadable video before", |c| c.sdp_text(|text| before_video(&text, UNREADABLE))),
        whole("sdp: an unreadable video behind", |c| c.sdp_text(|text| text + UNREADABLE)),
        whole("sdp: sound before", |c| c.sdp_text(|text| before_video(&text, AUDIO))),
        whole("sdp: sound behind", |c| c.sdp_text(|text| text + AUDIO)),
        whole("sdp: sound of an unknown codec before", |c| {
            c.sdp_text(|text| before_video(&text, "m=audio 0 RTP/AVP 98\r\na=control:other\r\n"));
        }),
        whole("sdp: sound with a config that is cut", |c| {
            c.sdp_text(|text| text + &AUDIO.replace("config=1408", "config=1"));
        }),
        whole("sdp: sound with 0 ticks a second", |c| c.sdp_text(|text| text + &AUDIO.replace("16000", "0"))),
        whole("sdp: ONVIF metadata behind", |c| {
            let track = "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n";
            c.sdp_text(move |text| text + track + "a=control:other\r\n");
        }),
        whole("sdp: a backchannel behind", |c| {
            let track = "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:other\r\na=sendonly\r\n";
            c.sdp_text(move |text| text + track);
        }),
        whole("sdp: a track without a type", |c| c.sdp_text(|text| text + "m=audio\r\na=control:other\r\n")),
        whole("sdp: a track of a type that is no number", |c| {
            c.sdp_text(|text| text + "m=audio 0 RTP/AVP x\r\na=control:other\r\n");
        }),
        whole("sdp: a track that is no RTP", |c| {
            c.sdp_text(|text| text + "m=application 0 udp wb\r\na=control:other\r\n");
        }),
    ]
}

fn controls() -> Vec<Row> {
    vec![
        whole("control: of the session is missing", |c| c.sdp("a=control:*\r\n", "")),
        whole("control: of the session is relative", |c| c.sdp("a=control:*", "a=control:stream")),
        whole("control: of the track is missing", |c| c.sdp("a=control:track\r\n", "")),
        whole("control: of the track is *", |c| c.sdp("a=control:track", "a=control:*")),
        whole("control: of the track is empty", |c| c.sdp("a=control:track", "a=control:")),
        whole("control: of the track is absolute, of another host", |c| {
            c.sdp("a=control:track", "a=control:rtsp://192.0.2.1:554/main/track");
        }),
        whole("control: of the track begins with a slash", |c| {
            c.sdp("a=control:track", "a=control:/main/track");
        }),
        whole("control: of the track is a query", |c| c.sdp("a=control:track", "a=control:?ctype=video")),
        whole("control: of the track has blanks before", |c| c.sdp("a=control:track", "a=control: track")),
        whole("control: of the track has a blank in it", |c| c.sdp("a=control:track", "a=control:track 1")),
        whole("control: of the track has = and &", |c| c.sdp("a=control:track", "a=control:trackID=1&x=%20")),
        whole("control: of the track in upper case", |c| c.sdp("a=control:track", "a=CONTROL:track")),
        whole("control: of the track comes first", |c| {
            c.sdp("a=control:track\r\n", "");
            c.sdp("RTP/AVP 96\r\n", "RTP/AVP 96\r\na=control:track\r\n");
        }),
    ]
}

fn from_media(text: &str) -> &str {
    &text[text.find("m=video").expect("a video")..]
}

fn before_video(text: &str, track: &str) -> String {
    text.replacen("m=video 0 RTP/AVP 96", &format!("{track}m=video 0 RTP/AVP 96"), 1)
}

/// Without the lines that begin like this.
pub(super) fn without_lines(text: &str, beginning: &str) -> String {
    text.split_inclusive('\n').filter(|line| !line.starts_with(beginning)).collect()
}

/// With other parameter sets.
fn sets(text: &str, edit: impl Fn(&str, &str) -> String) -> String {
    let (before, rest) = text.split_once("parameter-sets=").expect("parameter sets");
    let (sets, behind) = rest.split_once("\r\n").expect("the end of the line");
    let (sps, pps) = sets.split_once(',').expect("two of them");
    format!("{before}parameter-sets={}\r\n{behind}", edit(sps, pps))
}
