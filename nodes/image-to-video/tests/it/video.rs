//! Frames to send and what ffmpeg and a second MP4 reader make of the segments.

use msight_image_to_video::ImageToVideo;
use msight_node::testing::run_processor;
use msight_picture::Picture;
use msight_picture::image::{Rgb, RgbImage};
use msight_proto::{Head, ImageData, Sample, VideoData};
use std::io::Write as _;
use std::process::Command;

/// When the first frame of a test is captured.
pub(crate) const START: f64 = 1_700_000_000.25;

/// A picture with a colour for each quarter: left and right above, left and right below.
pub(crate) fn quarters(width: u32, height: u32, colours: [[u8; 3]; 4]) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(colours[usize::from(2 * x >= width) + 2 * usize::from(2 * y >= height)])
    })
}

/// The picture as a good JPEG in a message.
pub(crate) fn jpeg(picture: &RgbImage) -> ImageData {
    Picture::from_rgb(picture).unwrap().to_image(95).unwrap()
}

/// A frame of a sensor, captured this many seconds after the start.
pub(crate) fn frame(sensor: Option<&str>, seconds: f64, image: ImageData) -> Sample<ImageData> {
    Sample::new(Head::new(sensor.map(str::to_owned), START + seconds), image)
}

/// The segments that the node makes of frames which all fit into its queue.
pub(crate) async fn segments(flags: &[&str], frames: &[Sample<ImageData>]) -> Vec<Sample<VideoData>> {
    run_processor::<ImageToVideo>(&[flags, &["--sensor-queue=1000"]].concat(), frames).await.unwrap()
}

/// What ffmpeg and ffprobe say of a segment.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The stream's properties by ffprobe's names.
    pub(crate) stream: serde_json::Value,
    /// Presentation times of the packets in seconds, and whether each is a key frame.
    pub(crate) packets: Vec<(f64, bool)>,
    /// The decoded frames, RGB, in the size that ffmpeg shows.
    pub(crate) frames: Vec<RgbImage>,
}

/// Decodes a segment with ffmpeg, which must find no fault in it, and checks its boxes with a second reader.
pub(crate) fn look(segment: &Sample<VideoData>) -> Seen {
    let video = segment.body.video.as_ref().unwrap();
    let mut file = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    file.write_all(video).unwrap();
    let path = file.path().to_str().unwrap();

    let probe = run(Command::new("ffprobe").args(["-v", "error", "-print_format", "json"]).args([
        "-show_streams",
        "-show_format",
        "-show_packets",
        path,
    ]));
    let probe: serde_json::Value = serde_json::from_slice(&probe).unwrap();
    let packets = probe["packets"].as_array().unwrap().iter();
    let packets: Vec<_> =
        packets.map(|p| (number(&p["pts_time"]), p["flags"].as_str().unwrap().starts_with('K'))).collect();
    let stream = probe["streams"][0].clone();
    let (width, height) = (side(&stream["width"]), side(&stream["height"]));
    let decode = [
        "-v",
        "error",
        "-xerror",
        "-i",
        path,
        "-vsync",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ];
    let raw = run(Command::new("ffmpeg").args(decode));
    let frames: Vec<_> = (raw.chunks((width * height * 3) as usize))
        .map(|rgb| RgbImage::from_raw(width, height, rgb.to_vec()).expect("whole frames"))
        .collect();

    assert_eq!(frames.len(), packets.len(), "every packet decodes");
    assert!(position(video, b"moov") < position(video, b"mdat"), "the index comes first");
    let second = mp4::Mp4Reader::read_header(std::io::Cursor::new(&video[..]), video.len() as u64).unwrap();
    let track = &second.tracks()[&1];
    assert_eq!(second.tracks().len(), 1);
    assert_eq!((u32::from(track.width()), u32::from(track.height())), (width, height));
    assert_eq!(track.sample_count() as usize, packets.len());
    assert_eq!(track.media_type().unwrap(), mp4::MediaType::H264);
    assert_eq!(track.timescale(), 90_000);
    assert!((second.duration().as_secs_f64() - number(&probe["format"]["duration"])).abs() < 0.002);
    Seen { stream, packets, frames }
}

impl Seen {
    /// Duration of the stream in ticks of its time base.
    pub(crate) fn duration_ticks(&self) -> i64 {
        self.stream["duration_ts"].as_i64().unwrap()
    }

    /// A property of the stream.
    pub(crate) fn is(&self, property: &str) -> &str {
        self.stream[property].as_str().unwrap_or_default()
    }

    /// Size of the picture shown.
    pub(crate) fn size(&self) -> (u32, u32) {
        self.frames[0].dimensions()
    }
}

/// The mean colour of the middle of each quarter.
pub(crate) fn means(picture: &RgbImage) -> [[f64; 3]; 4] {
    let (width, height) = picture.dimensions();
    [(1, 1), (5, 1), (1, 5), (5, 5)].map(|(x, y)| {
        let part = msight_picture::image::imageops::crop_imm(
            picture,
            x * width / 8,
            y * height / 8,
            width / 4,
            height / 4,
        );
        let part = part.to_image();
        let pixels = f64::from(part.width() * part.height());
        [0, 1, 2].map(|c| part.pixels().map(|p| f64::from(p.0[c])).sum::<f64>() / pixels)
    })
}

/// Asserts that colours are within `tolerance` of what was sent.
pub(crate) fn assert_colours(picture: &RgbImage, colours: [[u8; 3]; 4], tolerance: f64) {
    let means = means(picture);
    for (mean, colour) in means.iter().zip(colours) {
        let off = mean.iter().zip(colour).map(|(m, c)| (m - f64::from(c)).abs()).fold(0.0, f64::max);
        assert!(off <= tolerance, "{colour:?} became {mean:.1?}");
    }
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("these tests need ffmpeg and ffprobe: apt-get install ffmpeg");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{command:?}: {said}");
    output.stdout
}

fn number(value: &serde_json::Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

fn side(value: &serde_json::Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

fn position(file: &[u8], name: &[u8; 4]) -> usize {
    file.windows(4).position(|bytes| bytes == name).expect("the box is there")
}
