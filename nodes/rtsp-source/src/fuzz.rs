//! Entry points for the fuzz targets (`launch/fuzz`): the private code that reads foreign bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use msight_media::{AccessUnit, Codec, DropReason};
use msight_node::Gap;
use msight_node::metrics::Metrics;
use msight_picture::{DecodedPicture, WireForm};
use tokio::sync::mpsc;
use url::{Position, Url};

use crate::counts::Counts;
use crate::decoding;
use crate::outlet::{Form, Outlet};
use crate::relay::{Flow, Login, Session, Transport, resolve, sequence};
use crate::unit::{self, Offered};
use crate::url::CameraUrl;

/// Shortest secret to look for; shorter ones also occur in a URL by chance.
const SHORTEST_SECRET: usize = 12;

/// Parses a camera's URL, and checks that its printed form does not hold the password.
pub fn url(text: &str) {
    let Ok(url) = CameraUrl::parse(text, None, None) else { return };
    let Some((_, secret)) = url.credentials() else { return };
    let shown = format!("{url} {url:?} {}", url.scrub(&format!("the camera said {secret}")));
    let host_or_path = url.bare().as_str().contains(secret);
    assert!(
        secret.len() < SHORTEST_SECRET || host_or_path || !shown.contains(secret),
        "the password is in {shown:?}"
    );
}

/// Reads a text as every header of a response, and checks that requests with parts of it go to the user's host and have no
/// further lines.
pub fn header(value: &str) {
    let (_, _) = (Transport::parse(value), sequence(value));
    if let Some(session) = Session::parse(value) {
        assert!(session.id.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{session:?}");
    }
    let Ok(user) = Url::parse("rtsp://camera.example:8554/live?x=1") else { return };
    for (base, session, track) in
        [(Some(value), None, None), (None, Some(value), None), (None, None, Some(value))]
    {
        let address = resolve(&user, base, session, track);
        assert_eq!(address[..Position::BeforePath], user[..Position::BeforePath], "{address}");
    }
    let mut login = Login::new(Some(("viewer", "geheim")));
    if login.challenge(std::iter::once(value)) {
        let answer = login.authorization("DESCRIBE", user.as_str()).unwrap_or_default();
        assert!(!answer.is_empty() && !answer.contains(char::is_control), "{answer:?}");
    }
}

/// Sends access units (Annex B), key frames or not, to the decoding thread, and checks that each one is counted: decoded at
/// once, and for nodes of the same process that look at every second picture.
pub fn stream<'a>(units: impl Iterator<Item = (bool, &'a [u8])>) {
    let units: Vec<_> = units.collect();
    for deferred in [false, true] {
        run(&units, deferred);
    }
}

fn run(units: &[(bool, &[u8])], deferred: bool) {
    let counts = Arc::new(Counts::new(&Metrics::default()));
    let (sender, mut frames) = mpsc::channel(1);
    let form = Form { wire: WireForm::Jpeg(50), handed_over: deferred, deferred, resize: None, fps: None };
    let Ok(outlet) = Outlet::new(form, Gap::new(-1), counts.clone(), sender) else { return };
    let (mut queue, decoder) = unit::queue();
    let mut taken = 0;
    for (index, &(key, data)) in units.iter().enumerate() {
        let (pts, captured) = (index as i64 * 9_000, index as f64 / 10.0);
        let unit = AccessUnit { pts, captured, ..AccessUnit::from_annex_b(data, key) };
        taken += u64::from(queue.offer(unit) == Offered::Taken);
    }
    drop(queue);
    let Ok(()) = decoding::spawn(Codec::H264, false, decoder, outlet, counts.clone()) else { return };
    let (mut published, mut given_up) = (0, false);
    while let Some(frame) = frames.blocking_recv() {
        match frame {
            Ok(frame) => {
                published += 1;
                if deferred && published % 2 == 0 {
                    let _ = DecodedPicture::of(&frame.image);
                }
            }
            Err(_) => given_up = true,
        }
    }
    let reasons =
        [DropReason::NoKeyFrameYet, DropReason::PacketLoss, DropReason::DecodeError, DropReason::DecoderSlow];
    let dropped: u64 = reasons.into_iter().map(|reason| counts.dropped(reason).get()).sum();
    let decoded = counts.decoded.get();
    assert!(decoded == published || deferred, "{decoded} decoded and {published} published");
    assert!(
        published + dropped == taken || given_up && published + dropped < taken,
        "{published} published and {dropped} dropped of {taken}"
    );
}

/// Sends datagrams, RTP or RTCP, through reordering, and checks that the output has no more bytes than the input.
pub fn datagrams<'a>(datagrams: impl Iterator<Item = (bool, &'a [u8])>) {
    let mut flow = Flow::new(90_000, Arc::new(Counts::new(&Metrics::default())));
    let (mut given, mut got) = (0, 0);
    let mut now = Instant::now();
    let mut emit = |_, packet: &[u8]| got += packet.len();
    for (control, datagram) in datagrams {
        given += datagram.len();
        if control {
            flow.control(datagram, now);
        } else {
            flow.packet(datagram, now, &mut emit);
        }
        now += Duration::from_millis(7);
        if flow.deadline().is_some_and(|deadline| deadline <= now) {
            flow.expire(now, &mut emit);
        }
        let _ = flow.report(1, "fuzz", now);
    }
    flow.expire(now + Duration::from_secs(1), &mut emit);
    assert!(got <= given, "{got} bytes came out of {given}");
}
