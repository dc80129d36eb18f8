//! A launcher of one's own: all of `msight`, with a node of one's own among those that it is built with. In
//! `own_launcher up FILE --one-process` the node looks at the camera's pictures as the decoder gave them.

use msight::BUILT_IN;
use msight_node::{Context, Entry, Node, Processor, Publisher, Result};
use msight_picture::{ImageDecoder, Picture};
use msight_proto::{ImageData, Message, Sample};

#[derive(serde::Serialize, serde::Deserialize)]
struct Brightness {
    /// The mean of the luma, 0 to 255.
    mean: f64,
}
impl Message for Brightness {
    const TYPE: &'static str = "example.Brightness";
}

/// Publishes how bright each picture is.
#[derive(Clone, clap::Args)]
struct Flags {
    /// Panic after so many pictures, to see that no other node minds
    #[arg(long, value_name = "PICTURES", help_heading = "Brightness")]
    panic_after: Option<u32>,
}

struct Meter {
    decoder: ImageDecoder,
    picture: Picture,
    left: Option<u32>,
}
impl Node for Meter {
    const NAME: &'static str = "brightness_meter";
    type Args = Flags;
    async fn open(flags: Flags, _: &Context) -> Result<Self> {
        Ok(Self { decoder: ImageDecoder::new()?, picture: Picture::default(), left: flags.panic_after })
    }
}
impl Processor for Meter {
    type In = ImageData;
    type Out = Brightness;
    async fn process(&mut self, frame: Sample<ImageData>, out: &Publisher<Brightness>) -> Result<()> {
        self.left = self.left.map(|left| left.checked_sub(1).expect("it was told to"));
        self.decoder.decode(&frame.body, &mut self.picture)?;
        let luma = self.picture.planes_mut().y;
        let sum: u64 = luma.iter().map(|&value| u64::from(value)).sum();
        let mean = sum as f64 / luma.len().max(1) as f64;
        out.publish(frame.map(|_| Brightness { mean })).await
    }
}

fn main() -> std::process::ExitCode {
    const METER: Entry = msight_node::processor::<Meter>();
    msight::main(&[BUILT_IN, &[METER]].concat())
}
