//! What the camera shows: forty frames, of which every tenth is a key frame.

use std::sync::LazyLock;

use tokio::sync::OnceCell;

use crate::camera::base64;
use crate::client::{Client, Picture};
use crate::stub::footage::Footage;

/// Frames of a film.
pub(crate) const FRAMES: usize = 40;
/// Frames from one key frame to the next.
pub(crate) const KEY_INTERVAL: usize = 10;

const SIZE: &str = "320x180";
/// One slice a frame.
const ONE_SLICE: &str = "-threads 1";

/// A film, and the pictures that clients make of it.
pub(crate) struct Film {
    pub(crate) footage: Footage,
    pictures: [OnceCell<Vec<Picture>>; 2],
}

/// One slice a frame, the parameter sets before each key frame.
pub(crate) static PLAIN: LazyLock<Film> = LazyLock::new(|| Film::new(film(SIZE, ONE_SLICE)));

/// Four slices a frame.
pub(crate) static SLICES: LazyLock<Film> = LazyLock::new(|| Film::new(film(SIZE, "-threads 1 -slices 4")));

/// Parameter sets with the id 5.
pub(crate) static OTHER_ID: LazyLock<Film> =
    LazyLock::new(|| Film::new(film(SIZE, "-threads 1 -x264-params sps-id=5")));

/// Larger pictures.
pub(crate) static LARGE: LazyLock<Film> = LazyLock::new(|| Film::new(film("480x270", ONE_SLICE)));

/// The second half is larger, with other parameter sets of the same id.
pub(crate) static GROWS: LazyLock<Film> = LazyLock::new(|| changing_to(&LARGE));

/// The second half has parameter sets of another id.
pub(crate) static CHANGES_ID: LazyLock<Film> = LazyLock::new(|| changing_to(&OTHER_ID));

fn film(size: &str, options: &str) -> Footage {
    Footage::h264(size, FRAMES, KEY_INTERVAL, options)
}

/// The first half of the plain film, and the second half of another.
fn changing_to(second: &Film) -> Film {
    let mut footage = PLAIN.footage.clone();
    footage.units.splice(FRAMES / 2.., second.footage.units[FRAMES / 2..].iter().cloned());
    Film::new(footage)
}

impl Film {
    fn new(footage: Footage) -> Self {
        Self { footage, pictures: Default::default() }
    }

    /// The first NAL unit of a type.
    pub(crate) fn nal(&self, kind: u8) -> &[u8] {
        let mut nals = self.footage.units.iter().flatten();
        nals.find(|nal| nal[0] & 0x1f == kind).expect("the encoder writes it")
    }

    /// The description of a well-behaved camera that shows the film.
    pub(crate) fn description(&self) -> String {
        let sets = [7, 8].map(|kind| base64(self.nal(kind))).join(",");
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=Stream\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n\
             m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
             a=fmtp:96 packetization-mode=1;profile-level-id=42C00D;sprop-parameter-sets={sets}\r\n\
             a=control:track\r\n"
        )
    }

    /// The pictures that a client makes of the film from the well-behaved camera.
    pub(crate) async fn pictures(&'static self, client: Client) -> &'static [Picture] {
        self.pictures[client as usize].get_or_init(|| client.pictures_of(self)).await
    }
}
