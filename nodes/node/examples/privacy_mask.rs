//! A node that works on pixels: it makes a part of every picture unrecognisable before it goes on, such as a
//! garden beside the road.
//!
//! cargo run --example privacy_mask -- -n mask -st rtsp_topic -pt masked_topic --region 0.6,0.5,0.4,0.5

use msight_node::{Context, Node, Processor, Publisher, Result};
use msight_picture::{ImageDecoder, JpegEncoder, Picture};
use msight_proto::{ImageData, Sample};

/// Coarsens a region of every picture until nothing in it can be recognised.
#[derive(Clone, clap::Args)]
pub(crate) struct Flags {
    /// What to mask: left, top, width and height as parts of the picture's, 0 to 1
    #[arg(long, value_name = "X,Y,W,H", value_parser = region, help_heading = "Mask")]
    region: Region,

    /// The side of the squares that are left to see, in pixels
    #[arg(long, default_value_t = 32, help_heading = "Mask", value_parser = clap::value_parser!(u32).range(2..=1024))]
    block: u32,

    /// The quality of the pictures published, 1 to 100
    #[arg(long, default_value_t = 80, help_heading = "Mask", value_parser = clap::value_parser!(u8).range(1..=100))]
    jpeg_quality: u8,
}

type Region = [f64; 4];

fn region(text: &str) -> Result<Region, String> {
    let parts: Vec<f64> = text.split(',').filter_map(|part| part.trim().parse().ok()).collect();
    match Region::try_from(parts) {
        Ok(region) if region.iter().all(|part| (0.0..=1.0).contains(part)) => Ok(region),
        _ => Err(format!(
            "invalid region: '{text}' (four parts of the picture, 0 to 1, as in 0.6,0.5,0.4,0.5)"
        )),
    }
}

pub(crate) struct PrivacyMask {
    flags: Flags,
    // Kept from frame to frame, so that a frame costs no allocation but its JPEG's.
    decoder: ImageDecoder,
    picture: Picture,
    encoder: JpegEncoder,
}

impl Node for PrivacyMask {
    const NAME: &'static str = "privacy_mask";
    type Args = Flags;

    async fn open(flags: Flags, _: &Context) -> Result<Self> {
        let (decoder, encoder) = (ImageDecoder::new()?, JpegEncoder::new(flags.jpeg_quality)?);
        Ok(Self { flags, decoder, picture: Picture::default(), encoder })
    }
}

impl Processor for PrivacyMask {
    type In = ImageData;
    type Out = ImageData;

    async fn process(&mut self, frame: Sample<ImageData>, out: &Publisher<ImageData>) -> Result<()> {
        self.decoder.decode(&frame.body, &mut self.picture)?;
        let size = self.picture.size();
        let planes = self.picture.planes_mut();
        // Chroma has half the luma's sides, so it takes half of the block.
        let block = self.flags.block as usize;
        let chroma = size.chroma();
        coarsen(planes.y, planes.y_stride, [size.width(), size.height()], self.flags.region, block);
        coarsen(planes.u, planes.uv_stride, [chroma.width(), chroma.height()], self.flags.region, block / 2);
        coarsen(planes.v, planes.uv_stride, [chroma.width(), chroma.height()], self.flags.region, block / 2);
        let image = self.encoder.encode_image(&self.picture.planes())?;
        // The head goes on as it is: the masked picture is still that camera's, of that time.
        out.publish(frame.map(|before| ImageData { detection_results: before.detection_results, ..image }))
            .await
    }
}

/// Gives each block of a plane within the region its mean.
fn coarsen(plane: &mut [u8], stride: usize, [width, height]: [usize; 2], region: Region, block: usize) {
    let part = |of: usize, part: f64| ((of as f64 * part).round() as usize).min(of);
    let (left, top) = (part(width, region[0]), part(height, region[1]));
    let (right, bottom) = (part(width, region[0] + region[2]), part(height, region[1] + region[3]));
    for y in (top..bottom).step_by(block) {
        for x in (left..right).step_by(block) {
            let (rows, columns) = (y..(y + block).min(bottom), x..(x + block).min(right));
            let sum: usize = rows
                .clone()
                .flat_map(|row| &plane[row * stride..][columns.clone()])
                .map(|&p| usize::from(p))
                .sum();
            let mean = (sum / (rows.len() * columns.len())) as u8;
            for row in rows {
                plane[row * stride..][columns.clone()].fill(mean);
            }
        }
    }
}

#[allow(dead_code, reason = "the example's test takes the node without its main")]
fn main() -> std::process::ExitCode {
    msight_node::processor::<PrivacyMask>().main()
}
