//! A processor whose input is one of two message types.

use msight_node::testing::{in_process, run_processor};
use msight_node::{Accept, Context, Node, Packed, Processor, Publisher, Result, processor};
use msight_proto::{AccessUnitData, BytesData, DecodeError, Head, ImageData, Message, Sample};

enum Either {
    Picture(ImageData),
    Bytes(BytesData),
}

impl Accept for Either {
    const TYPES: &'static [&'static str] = &[ImageData::TYPE, BytesData::TYPE];
    fn accept(message: Packed) -> Result<Sample<Self>, DecodeError> {
        match message.data_type()? {
            BytesData::TYPE => Ok(message.open()?.map(Self::Bytes)),
            _ => Ok(message.open()?.map(Self::Picture)),
        }
    }
    fn memory(&self) -> usize {
        match self {
            Self::Picture(picture) => picture.weight(),
            Self::Bytes(bytes) => bytes.weight(),
        }
    }
}

#[derive(Clone, clap::Args)]
struct Flags {}

/// Publishes the bytes of either.
struct Sizes;

impl Node for Sizes {
    const NAME: &'static str = "sizes";
    type Args = Flags;
    async fn open(_: Flags, _: &Context) -> Result<Self> {
        Ok(Self)
    }
}

impl Processor for Sizes {
    type In = Either;
    type Out = BytesData;
    async fn process(&mut self, sample: Sample<Either>, out: &Publisher<BytesData>) -> Result<()> {
        let data = match &sample.body {
            Either::Picture(picture) => {
                picture.image.as_ref().map(|image| image.bytes().cloned()).transpose()?
            }
            Either::Bytes(bytes) => bytes.data.clone(),
        };
        out.publish(sample.map(|_| BytesData { data })).await
    }
}

fn sample<M>(body: M) -> Sample<M> {
    Sample::new(Head::new("gate".to_owned(), 10.0), body)
}

#[tokio::test]
async fn each_of_the_types_is_taken_and_another_one_is_skipped() {
    let picture = || sample(ImageData { image: Some(vec![1, 2].into()), ..ImageData::default() });
    let bytes = || sample(BytesData { data: Some(vec![3].into()) });
    let unit = AccessUnitData {
        track: "video".to_owned(),
        codec: "h264".to_owned(),
        key: true,
        pts: 0,
        dts: 0,
        rate: 90_000,
        sequence: 0,
        session: "s".to_owned(),
        after_loss: false,
        parameter_sets: None,
        size: None,
        channels: None,
        data: vec![4].into(),
    };
    let content = |made: Vec<Sample<BytesData>>| {
        made.into_iter().map(|sample| sample.body.data.unwrap().to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(content(run_processor::<Sizes>(&[], &[picture()]).await.unwrap()), [[1, 2]]);
    assert_eq!(content(run_processor::<Sizes>(&[], &[bytes()]).await.unwrap()), [[3]]);
    assert_eq!(content(in_process::run_processor::<Sizes>(&[], [picture()]).await.unwrap()), [[1, 2]]);
    assert_eq!(content(in_process::run_processor::<Sizes>(&[], [bytes()]).await.unwrap()), [[3]]);
    let stop = ["--action-on-error=stop"];
    assert!(run_processor::<Sizes>(&stop, &[sample(unit.clone())]).await.is_err());
    assert!(in_process::run_processor::<Sizes>(&stop, [sample(unit)]).await.is_err());
}

#[test]
fn the_description_names_both_types() {
    let description = processor::<Sizes>().describe();
    assert_eq!(description.takes(), Some(ImageData::TYPE));
    assert_eq!(description.inputs[0].types().collect::<Vec<_>>(), [ImageData::TYPE, BytesData::TYPE]);
    let json = serde_json::to_value(&description).unwrap();
    assert_eq!(json["inputs"][0]["further_types"][0], BytesData::TYPE);
    assert_eq!(json["outputs"][0].get("further_types"), None);
}
