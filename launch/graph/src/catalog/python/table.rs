//! The programs of MSight 2.0.

use msight_node::flags::Kind;
use msight_proto::{
    BytesData, ImageData, Message as _, PointCloudData, RoadUserListData, SensorDataSequence, VideoData,
};

use super::{Opt, Script, Value};

const fn option(names: &'static str, value: Value, help: &'static str) -> Opt {
    Opt { names, value, required: false, default: None, help }
}

impl Opt {
    const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }
}

/// The options that every node has.
pub(super) const COMMON: [Opt; 8] = [
    option("-n/--name", Value::Text, "The node's name").required(),
    option("--heartbeat-update-interval", Value::Int, "Messages between two heartbeats"),
    option("--action-on-error", Value::OneOf(&["continue", "stop"]), "What to do after a missed heartbeat")
        .or("stop"),
    option(
        "--heartbeat-tolerance",
        Value::Float,
        "Seconds without a heartbeat until an error; 0 or less never is one",
    ),
    option("--heartbeat-checking-duration", Value::Float, "Seconds between checks of the heartbeat"),
    option("-g/--gap", Value::Int, "Messages to skip between two that are used"),
    option("--group-id", Value::Text, "Consumer group, with NATS and Kafka"),
    option("--logging-level", Value::Level, "Minimum log level").or("INFO"),
];

pub(super) const fn publish() -> Opt {
    option("-pt/--publish-topic", Value::Text, "The topic to publish to").required()
}

pub(super) const fn subscribe() -> Opt {
    option("-st/--subscribe-topic", Value::Text, "The topic to subscribe to").required()
}

pub(super) const fn sensor() -> Opt {
    SENSOR.required()
}

pub(super) const SENSOR: Opt = option("-sn/--sensor-name", Value::Text, "The sensor's name");

const WAIT: Opt = option("-w/--wait", Value::Int, "Seconds to wait before the start").or("0");
const DUALSTACK: Opt =
    option("--use-dualstack-endpoint", Value::Nothing, "Use AWS endpoints for IPv4 and IPv6");
const BUCKET: Opt = option("--bucket-name", Value::Text, "The bucket").required();
const PREFIX: Opt = option("--prefix", Value::Text, "Prefix of all keys").or("");
const REGION: Opt = option("--aws-region", Value::Text, "The bucket's region").or("us-east-1");
const BUFFER: Opt = option("--buffer-size", Value::Int, "Messages of a sequence").required();
const OVERLAP: Opt = option("--overlap-size", Value::Int, "Messages that two sequences share").required();
const PARTITION: Opt =
    option("--partition-key-mode", Value::OneOf(&["random", "sensor_name"]), "How to choose partition keys")
        .or("random");
const SHARDS: Opt = option("--shards", Value::Int, "Number of shards").or("1");
const FILTER: Opt = option("--filter-sensor-name", Value::Text, "Show this sensor only");
const ANY_HOST: Opt = option("--host", Value::Text, "The address to listen on").or("0.0.0.0");
const IPV6: Opt = option("--ipv6", Value::Nothing, "Use IPv6");

const fn source(name: &'static str, class: &'static str, publishes: &'static str) -> Script {
    let (kind, publishes) = (Kind::Source, Some(publishes));
    Script { name, class, kind, takes: None, publishes, summary: "", options: &[], crash: None }
}

const fn processor(name: &'static str, class: &'static str) -> Script {
    let kind = Kind::Processor;
    Script { name, class, kind, takes: None, publishes: None, summary: "", options: &[], crash: None }
}

const fn sink(name: &'static str, class: &'static str, takes: Option<&'static str>) -> Script {
    Script { name, class, kind: Kind::Sink, takes, publishes: None, summary: "", options: &[], crash: None }
}

pub(super) static SCRIPTS: [Script; 21] = [
    Script {
        summary: "Publishes the frames of a camera",
        options: &[
            option("-u/--url", Value::Text, "The camera's URL").required(),
            option("-r/--resize-ratio", Value::Float, "Multiply width and height by this"),
            option("--rtsp-transport", Value::OneOf(&["tcp", "udp"]), "Transport of the video").or("tcp"),
        ],
        ..source("msight_launch_rtsp", "RTSPSourceNode", ImageData::TYPE)
    },
    Script {
        summary: "Publishes the pictures of a folder in a loop",
        options: &[
            option("-p/--image-path", Value::Text, "A picture, or a folder of .jpg and .png").required(),
            option("--fps", Value::Int, "Maximum pictures per second").or("10"),
        ],
        ..source("msight_launch_local_image", "LocalImageSourceNode", ImageData::TYPE)
    },
    Script {
        summary: "Publishes the datagrams that arrive at a port, cut at 8192 bytes",
        options: &[ANY_HOST, option("--port", Value::Int, "The port to listen on").required(), IPV6],
        ..source("msight_launch_udp_server", "UdpServerSourceNode", BytesData::TYPE)
    },
    Script {
        summary: "Publishes the messages of a WebSocket server",
        options: &[option("-u/--server-url", Value::Text, "The server's URL").required()],
        ..source("msight_launch_websocket_client", "WebSocketClientSourceNode", BytesData::TYPE)
    },
    Script {
        summary: "Publishes the point clouds of a Velodyne lidar",
        options: &[
            ANY_HOST,
            option("--port", Value::Int, "The port to listen on").or("2368"),
            IPV6,
            option("--telemetry-port", Value::Int, "The port of the lidar's telemetry").or("8308"),
            option("--model-id", Value::OneOf(&LIDARS), "The lidar's model").or("VLP32C"),
        ],
        ..source("msight_launch_velodyne_lidar", "VelodyneLidarSourceNode", PointCloudData::TYPE)
    },
    Script {
        summary: "Makes videos of frames",
        takes: Some(ImageData::TYPE),
        publishes: Some(VideoData::TYPE),
        options: &[
            BUFFER,
            OVERLAP,
            option("--fps", Value::Int, "Frame rate of the video file").or("20"),
            option("--codec", Value::Text, "FFmpeg's name of the codec").or("libx265"),
        ],
        ..processor("msight_launch_image_to_video_aggregator", "ImageToVideoAggregatorNode")
    },
    Script {
        summary: "Makes sequences of messages",
        publishes: Some(SensorDataSequence::TYPE),
        options: &[BUFFER, OVERLAP],
        ..processor("msight_launch_aggregator", "AggregatorNode")
    },
    Script {
        summary: "Puts messages in the order of their times",
        options: &[option("--max-buffer-size", Value::Int, "Messages in the buffer").or("10")],
        crash: Some("it reads event_timestamp, which no message has"),
        ..processor("msight_launch_buffering_sort", "BufferingSortNode")
    },
    Script {
        summary: "Encodes road users as SDSM messages of SAE J3224",
        takes: Some(RoadUserListData::TYPE),
        publishes: Some(BytesData::TYPE),
        options: &[
            option("--map-center", Value::Text, "Latitude and longitude of the map's centre").required(),
            option("--source-id", Value::Text, "The sender's identifier").required(),
            option("--max-obj-list-length", Value::Int, "Maximum road users in a message").or("20"),
        ],
        ..processor("msight_launch_sdsm_encoder", "SDSMEncoderNode")
    },
    Script {
        summary: "Uploads videos to Amazon S3",
        options: &[BUCKET, PREFIX, REGION, DUALSTACK, WAIT],
        ..sink("msight_launch_aws_video_pusher", "AWSVideoPusherSinkNode", Some(VideoData::TYPE))
    },
    Script {
        summary: "Uploads sequences to Amazon S3 as JSON",
        options: &[BUCKET, PREFIX, REGION, DUALSTACK],
        ..sink(
            "msight_launch_aws_sequence_pusher",
            "AWSSequencePusherSinkNode",
            Some(SensorDataSequence::TYPE),
        )
    },
    Script {
        summary: "Puts messages into an Amazon Kinesis stream, as JSON",
        options: &[PARTITION, option("--stream-name", Value::Text, "The stream").required(), SHARDS, WAIT],
        ..sink("msight_launch_kinesis_pusher", "KinesisPusherSinkNode", None)
    },
    Script {
        summary: "Publishes messages to an Amazon SNS topic, as JSON",
        options: &[
            option("--topic-arn", Value::Text, "The topic of SNS").required(),
            DUALSTACK,
            option("--fifo", Value::Nothing, "The topic is a FIFO topic"),
            WAIT,
        ],
        ..sink("msight_launch_aws_sns_pusher", "AWSSNSPusherSinkNode", None)
    },
    Script {
        summary: "Posts messages to a URL, as JSON",
        options: &[option("-u/--url", Value::Text, "Where to post").required(), PARTITION, WAIT, SHARDS],
        ..sink("msight_launch_http", "HttpSinkNode", None)
    },
    Script {
        summary: "Sends bytes to a roadside unit as immediate forward messages",
        options: &[
            option("--header-file", Value::Text, "File with the header of every message").required(),
            option("--rsu-addr", Value::Text, "The unit's address").required(),
            option("--rsu-port", Value::Int, "The unit's port").required(),
            IPV6,
        ],
        ..sink("msight_launch_ifm", "IFMSinkNode", Some(BytesData::TYPE))
    },
    Script {
        summary: "Writes videos into a folder",
        options: &[option("-sd/--save-dir", Value::Text, "The folder").required()],
        ..sink("msight_launch_video_local_dumper", "VideoLocalDumperSinkNode", Some(VideoData::TYPE))
    },
    Script {
        summary: "Writes point clouds into a folder",
        options: &[
            option("--output-folder-path", Value::Text, "The folder").required(),
            option("--use-creation-timestamp", Value::Nothing, "Name files by the time of the message"),
        ],
        ..sink(
            "msight_launch_pointcloud_local_dumper",
            "PointCloudLocalDumperSinkNode",
            Some(PointCloudData::TYPE),
        )
    },
    Script {
        summary: "Shows frames in a window",
        options: &[FILTER],
        ..sink("msight_launch_image_viewer", "ImageViewerSinkNode", Some(ImageData::TYPE))
    },
    Script {
        summary: "Shows point clouds in a window",
        options: &[
            FILTER,
            option("--voxel-downsample", Value::Float, "Side of the cubes that become one point"),
            option("--color-mode", Value::OneOf(&["ring", "intensity"]), "What the colour shows").or("ring"),
        ],
        ..sink("msight_launch_pointcloud_viewer", "PointCloudViewerSinkNode", Some(PointCloudData::TYPE))
    },
    Script {
        summary: "Shows bytes as text",
        options: &[FILTER],
        crash: Some("it reads bytes and event_timestamp, which no message has"),
        ..sink("msight_launch_bytes_viewer", "BytesViewerSinkNode", Some(BytesData::TYPE))
    },
    Script {
        summary: "Shows detections",
        crash: Some("it reads detection_object_list, which no message has"),
        ..sink("msight_launch_detection_results_viewer", "DetectionResultsSinkNode", None)
    },
];

const LIDARS: [&str; 12] = [
    "HDL64E_S1",
    "HDL64E_S2",
    "HDL64E_S3",
    "HDL32E",
    "VLP32A",
    "VLP32B",
    "VLP32C",
    "VLP16",
    "PuckLite",
    "PuckHiRes",
    "VLS128",
    "AlphaPrime",
];

/// MSight's programs that cannot start, and why.
pub(super) const BROKEN: [(&str, &str); 4] = [
    ("msight_launch_image_local_dumper", "it imports msight_edge, which does not exist"),
    ("msight_launch_downloaded_image_player", "it declares --name twice"),
    ("msight_launch_downloaded_image_player_fps", "its module is missing"),
    ("msight_launch_road_user_list_aggregator", "its module is missing"),
];
