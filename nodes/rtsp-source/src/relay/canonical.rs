//! What the RTSP client is told: the camera's answers, reduced to what the client needs, in the form that the standard
//! prescribes.

use msight_rtp::Track;
use url::Url;

use super::message::Message;

/// The client's only session.
const SESSION: &str = "1";

/// The answer to DESCRIBE: a description of the tracks, whose addresses are `base` with their numbers.
pub(super) fn description(base: &Url, tracks: &[Track]) -> Message {
    let mut sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=control:*\r\n".to_owned();
    for (index, track) in tracks.iter().enumerate() {
        let (codec, rate) = (track.format.codec(), track.clock_rate);
        let media = match codec.kind() {
            msight_media::Kind::Video => "video",
            msight_media::Kind::Audio => "audio",
            msight_media::Kind::Metadata => "application",
        };
        // The client sees no packets, so the payload type and the codec's parameters do not matter.
        sdp += &format!(
            "m={media} 0 RTP/AVP 96\r\na=rtpmap:96 {}/{rate}\r\na=control:{base}/{index}\r\n",
            codec.name()
        );
    }
    let mut answer = Message::response(200, "OK")
        .with("Content-Base", base.as_str())
        .with("Content-Type", "application/sdp");
    answer.body = sdp.into();
    answer
}

/// The answer to SETUP: the channels that the client asked for, and the time in seconds after which the camera ends a
/// session without keepalives.
pub(super) fn set_up(channels: (u8, u8), timeout: u64) -> Message {
    let (rtp, rtcp) = channels;
    Message::response(200, "OK")
        .with("Session", format!("{SESSION};timeout={timeout}"))
        .with("Transport", format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp}"))
}

/// The answer to other requests. `Public` lets the client send keepalives as `GET_PARAMETER`.
pub(super) fn done() -> Message {
    Message::response(200, "OK").with("Session", SESSION).with("Public", "OPTIONS, GET_PARAMETER")
}
