//! Whole descriptions as cameras and servers write them. Addresses, names and parameter sets are our own.

use super::*;

/// Cameras and servers with the peculiarities of their descriptions.
#[test]
fn descriptions_of_cameras_are_read() {
    let (sps, pps) = (base64(SPS), base64(PPS));
    let both = h264(&[SPS, PPS]);
    let table = [
        (
            "Hikvision: absolute addresses, header bytes in an attribute",
            format!(
                "v=0\r\no=- 1700000000 1700000000 IN IP4 192.0.2.64\r\ns=Media Presentation\r\ne=NONE\r\nb=AS:5100\r\n\
                 t=0 0\r\na=control:rtsp://192.0.2.64/Streaming/Channels/101/\r\nm=video 0 RTP/AVP 96\r\n\
                 c=IN IP4 0.0.0.0\r\nb=AS:5000\r\na=recvonly\r\na=x-dimensions:1920,1080\r\n\
                 a=control:rtsp://192.0.2.64/Streaming/Channels/101/trackID=1\r\na=rtpmap:96 H264/90000\r\n\
                 a=fmtp:96 profile-level-id=420029; packetization-mode=1; sprop-parameter-sets={sps},{pps}\r\n\
                 m=audio 0 RTP/AVP 8\r\na=recvonly\r\na=control:rtsp://192.0.2.64/Streaming/Channels/101/trackID=2\r\n\
                 a=rtpmap:8 PCMA/8000\r\na=Media_header:MEDIAINFO=494D4B48010200;\r\na=appversion:1.0\r\n"
            ),
            vec![
                track(both.clone(), 96, 90_000, "rtsp://192.0.2.64/Streaming/Channels/101/trackID=1"),
                track(Format::Pcma, 8, 8_000, "rtsp://192.0.2.64/Streaming/Channels/101/trackID=2"),
            ],
        ),
        (
            "a recorder that writes another payload type into fmtp",
            "s=Recorder\r\nm=audio 0 RTP/AVP 104\r\na=rtpmap:104 MPEG4-GENERIC/16000\r\na=control:trackID=audio\r\n\
             a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;\
             indexdeltalength=3;config=1408\r\n"
                .to_owned(),
            vec![track(aac(&[0x14, 0x08]), 104, 16_000, "trackID=audio")],
        ),
        (
            "Dahua: an ONVIF backchannel that offers much without its configuration",
            format!(
                "v=0\r\no=- 2270000000 2270000000 IN IP4 0.0.0.0\r\ns=Media Server\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
                 a=control:*\r\na=packetization-supported:DH\r\na=range:npt=now-\r\nm=video 0 RTP/AVP 96\r\n\
                 a=control:trackID=0\r\na=framerate:15.000000\r\na=rtpmap:96 H264/90000\r\n\
                 a=fmtp:96 packetization-mode=1;profile-level-id=64002A;sprop-parameter-sets={sps},{pps}\r\n\
                 a=recvonly\r\nm=application 0 RTP/AVP 107\r\na=control:trackID=4\r\n\
                 a=rtpmap:107 vnd.onvif.metadata/90000\r\na=recvonly\r\nm=audio 0 RTP/AVP 116 97 0 8\r\n\
                 a=control:trackID=5\r\na=rtpmap:116 MPEG4-GENERIC/64000\r\na=rtpmap:97 L16/16000\r\n\
                 a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=sendonly\r\n"
            ),
            vec![
                track(both.clone(), 96, 90_000, "trackID=0"),
                track(Format::Metadata, 107, 90_000, "trackID=4"),
            ],
        ),
        (
            "Axis: a lower-case AAC",
            format!(
                "v=0\r\no=- 149 149 IN IP4 192.0.2.7\r\ns=Session streamed with GStreamer\r\ni=rtsp-server\r\nt=0 0\r\n\
                 a=tool:GStreamer\r\na=type:broadcast\r\na=range:npt=now-\r\na=control:rtsp://192.0.2.7/axis-media/media.amp\r\n\
                 m=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:96 H264/90000\r\n\
                 a=fmtp:96 packetization-mode=1;profile-level-id=420029;sprop-parameter-sets={sps},{pps}\r\na=ts-refclk:local\r\n\
                 a=mediaclk:sender\r\na=control:stream=0\r\na=framerate:30.000000\r\nm=audio 0 RTP/AVP 97\r\n\
                 a=fmtp:97 profile-level-id=2;config=1408;streamtype=5;sizelength=13;indexlength=3;indexdeltalength=3;mode=AAC-hbr\r\n\
                 a=rtpmap:97 mpeg4-generic/16000/1\r\na=control:stream=1\r\n"
            ),
            vec![
                track(both.clone(), 96, 90_000, "stream=0"),
                track(aac(&[0x14, 0x08]), 97, 16_000, "stream=1"),
            ],
        ),
        (
            "live555 with JPEG: no rtpmap, an empty fmtp",
            "v=0\r\no=- 165 1 IN IP4 192.0.2.9\r\ns=LIVE555\r\ni=LIVE555\r\nt=0 0\r\na=tool:LIVE555\r\na=type:broadcast\r\n\
             a=control:*\r\na=range:npt=now-\r\nm=video 0 RTP/AVP 26\r\nc=IN IP4 0.0.0.0\r\nb=AS:500\r\na=fmtp:26 \r\n\
             a=x-dimensions:2560,1440\r\na=control:track1\r\n"
                .to_owned(),
            vec![track(Format::Jpeg { size: Some((2560, 1440)) }, 26, 90_000, "track1")],
        ),
        (
            "Tapo: a track of its own protocol, whose payload type is not a number",
            "v=0\r\no=- 14 31 IN IP4 192.0.2.35\r\ns=Session streamed by \"TP-LINK RTSP Server\"\r\nt=0 0\r\n\
             m=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\nb=AS:4096\r\na=range:npt=0-\r\na=control:track1\r\n\
             a=rtpmap:96 H265/90000\r\na=fmtp:96 profile-space=0;sprop-vps=QAEMAQ==;sprop-sps=QgEBAQ==;sprop-pps=RAHAcw==\r\n\
             m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=control:track2\r\n\
             m=application/tp-link 0 RTP/AVP smart/0/25000\r\na=rtpmap:95 tp-link/25000\r\na=control:track3\r\n"
                .to_owned(),
            vec![
                track(
                    Format::H265 {
                        sets: sets(&[&[0x40, 1, 12, 1], &[0x42, 1, 1, 1], &[0x44, 1, 0xc0, 0x73]]),
                        has_decoding_order: false,
                    },
                    96,
                    90_000,
                    "track1",
                ),
                track(Format::Pcma, 8, 8_000, "track2"),
            ],
        ),
        (
            "Reolink: blanks after the semicolons, audio in the second track",
            format!(
                "v=0\no=- 16 1 IN IP4 192.0.2.5\ns=Session streamed by \"preview\"\ni=h264Preview_01_main\nt=0 0\n\
                 a=tool:BC Streaming Media\na=type:broadcast\na=control:*\na=range:npt=now-\nm=video 0 RTP/AVP 96\n\
                 c=IN IP4 0.0.0.0\nb=AS:8192\na=rtpmap:96 H264/90000\n\
                 a=fmtp:96 packetization-mode=1;profile-level-id=640033;sprop-parameter-sets={sps},{pps}\n\
                 a=control:track1\nm=audio 0 RTP/AVP 97\nc=IN IP4 0.0.0.0\nb=AS:8192\na=rtpmap:97 MPEG4-GENERIC/16000\n\
                 a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3; config=1408;\n\
                 a=control:track2\n"
            ),
            vec![track(both.clone(), 96, 90_000, "track1"), track(aac(&[0x14, 0x08]), 97, 16_000, "track2")],
        ),
        (
            "Wyze: linear samples",
            "v=0\r\ns=Session\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n\
             m=audio 0 RTP/AVP 97\r\na=rtpmap:97 L16/16000\r\na=control:track2\r\n"
                .to_owned(),
            vec![
                track(h264(&[]), 96, 90_000, "track1"),
                track(Format::L16 { channels: 1 }, 97, 16_000, "track2"),
            ],
        ),
        (
            "GeoVision and H3C: no time, connections and parameters that are cut",
            "v=0\r\no=- 1001 1 IN\r\ns=VCP IPC Realtime stream\r\nm=video 0 RTP/AVP 105\r\nc=IN\r\n\
             a=control:rtsp://192.0.2.60/media/video1/video\r\na=rtpmap:105 H264/90000\r\na=fmtp:105 packetization-mode=1\r\n\
             a=recvonly\r\nm=application 0 RTP/AVP 107\r\nc=IN\r\na=control:rtsp://192.0.2.60/media/video1/metadata\r\n\
             a=rtpmap:107 vnd.onvif.metadata/90000\r\na=fmtp:107 DecoderTag=h3c-v3 RTCP=0\r\na=recvonly\r\n"
                .to_owned(),
            vec![
                track(h264(&[]), 105, 90_000, "rtsp://192.0.2.60/media/video1/video"),
                track(Format::Metadata, 107, 90_000, "rtsp://192.0.2.60/media/video1/metadata"),
            ],
        ),
        (
            "a negative port, and a connection that is no text",
            "v=0\r\nm=video -1353744643 RTP/AVP 96\r\nc=IN IP4 '&\u{1}\u{2}\r\na=rtpmap:96 H264/90000\r\n".to_owned(),
            vec![track(h264(&[]), 96, 90_000, "")],
        ),
        (
            "FFmpeg and MediaMTX: stereo, Opus",
            format!(
                "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=Stream\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n\
                 a=control:rtsp://192.0.2.1:8554/cam/trackID=0\r\na=rtpmap:96 H264/90000\r\n\
                 a=fmtp:96 packetization-mode=1; profile-level-id=42001F; sprop-parameter-sets={sps},{pps}\r\n\
                 m=audio 0 RTP/AVP 97\r\nb=AS:128\r\na=rtpmap:97 MPEG4-GENERIC/48000/2\r\n\
                 a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3; config=1190\r\n\
                 m=audio 0 RTP/AVP 98\r\na=rtpmap:98 opus/48000/2\r\na=fmtp:98 sprop-stereo=1\r\n"
            ),
            vec![
                track(both, 96, 90_000, "rtsp://192.0.2.1:8554/cam/trackID=0"),
                track(aac(&[0x11, 0x90]), 97, 48_000, ""),
                track(Format::Opus, 98, 48_000, ""),
            ],
        ),
        (
            "three lines and no session",
            "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n".to_owned(),
            vec![track(h264(&[]), 96, 90_000, "trackID=0")],
        ),
    ];
    for (name, body, wanted) in table {
        assert_eq!(tracks(&body), wanted, "{name}");
        for end in ["\r", "\n", "\n\r", "\r\n\r\n", "\0\r\n"] {
            assert_eq!(tracks(&body.replace("\r\n", "\n").replace('\n', end)), wanted, "{name} with {end:?}");
        }
        let odd = [b"\xef\xbb\xbf", body.as_bytes(), b"\0\0\xff\xfe"].concat();
        assert_eq!(Description::parse(&odd).tracks.len(), wanted.len(), "{name}");
    }
}
