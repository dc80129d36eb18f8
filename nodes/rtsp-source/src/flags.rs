//! The flags of the RTSP source, parsed into its settings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::ArgGroup;
use msight_node::argparse;
use msight_node::flags::Secret;
use msight_picture::DEFAULT_JPEG_QUALITY;
use msight_picture::WireForm;

use crate::outlet::Form;
use crate::relay;
use crate::settings::{Settings, Tls, Transport};
use crate::url::CameraUrl;

const USERNAME: &str = "MSIGHT_RTSP_USERNAME";
const PASSWORD: &str = "MSIGHT_RTSP_PASSWORD";

/// Take a camera's RTSP stream and publish its frames as images
///
/// The camera's first H.264 stream is decoded and published as JPEG (-pt). With --packet-topic, all that the camera encodes
/// is published undecoded, beside the pictures or instead of them. A lost camera is opened again after 0.5 s, then less
/// often; after a refused password every 30 s to 5 min.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("camera").args(["url", "url_file"]).required(true).multiple(true))]
pub struct Flags {
    /// The camera's URL, rtsp://user:password@host:port/path, with @ : / ? # % in the password percent-encoded
    ///
    /// A command line can be read by every user of the machine: a password is safer in MSIGHT_RTSP_URL,
    /// --url-file or --password-file.
    #[arg(short, long, value_name = "URL", env = "MSIGHT_RTSP_URL", hide_env_values = true)]
    url: Option<Secret>,

    /// Factor for width and height of the frames, such as 0.5
    #[arg(short, long, value_name = "RATIO", value_parser = argparse::float, allow_negative_numbers = true)]
    resize_ratio: Option<f64>,

    /// Transport of the video; if the camera refuses it, the other one is tried
    #[arg(long, value_name = "TRANSPORT", default_value = "tcp")]
    rtsp_transport: Transport,

    /// File with the camera's URL in its first line; overrides --url
    #[arg(long, value_name = "FILE", help_heading = "Camera")]
    url_file: Option<PathBuf>,

    /// User name, if the URL has none
    #[arg(long, value_name = "NAME", env = USERNAME, help_heading = "Camera")]
    username: Option<String>,

    /// File with the password in its first line, if the URL has none [default: MSIGHT_RTSP_PASSWORD]
    #[arg(long, value_name = "FILE", help_heading = "Camera")]
    password_file: Option<PathBuf>,

    /// File with the camera's certificate (PEM), or with those that sign it, for rtsps:// [default: those of the system]
    #[arg(long, value_name = "FILE", help_heading = "Camera")]
    tls_ca: Option<PathBuf>,

    /// Trust any certificate of the camera, for rtsps://: anyone between can read along
    #[arg(long, help_heading = "Camera")]
    insecure_tls: bool,

    /// Time-out until the camera plays, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", help_heading = "Camera", value_parser = seconds)]
    connect_timeout: Duration,

    /// Time-out between two frames, in seconds; then the camera is opened again
    #[arg(long, value_name = "SECONDS", default_value = "10", help_heading = "Camera", value_parser = seconds)]
    read_timeout: Duration,

    /// Clock of capture times: the camera's, if it is near ours, or ours at arrival
    #[arg(long, value_name = "CLOCK", default_value = "camera", help_heading = "Camera")]
    capture_clock: CaptureClock,

    /// Maximum distance of the camera's clock from ours, in seconds; a clock further off is ignored
    #[arg(long, value_name = "SECONDS", default_value = "10", help_heading = "Camera", value_parser = seconds)]
    max_clock_skew: Duration,

    /// Index of the GPU to decode on, or -1 for none; ignored, because this build decodes on the CPU
    #[arg(
        short = 'g', long = "gpu", value_name = "INDEX", help_heading = "Camera", value_parser = argparse::int,
        allow_negative_numbers = true
    )]
    gpu: Option<i64>,

    /// Let each frame carry the access unit that it was decoded from, for nodes that record without encoding again; in one
    /// process they always do
    #[arg(long, help_heading = "Frames")]
    with_access_units: bool,

    /// Decode and publish key frames only, about one a second with most cameras; saves most of the CPU time
    #[arg(long, help_heading = "Frames")]
    keyframes_only: bool,

    /// Maximum number of frames per second, chosen evenly by capture time [default: all]
    #[arg(long, value_name = "RATE", help_heading = "Frames", value_parser = argparse::float)]
    fps: Option<f64>,

    /// Format of the published frames: JPEG, or raw BGR pixels
    #[arg(long, value_name = "FORMAT", default_value = "jpeg", help_heading = "Frames")]
    format: Format,

    /// JPEG quality, from 1 to 100; MSight's is 50
    #[arg(
        long, value_name = "QUALITY", default_value_t = DEFAULT_JPEG_QUALITY, help_heading = "Frames",
        value_parser = clap::value_parser!(u8).range(1..=100)
    )]
    jpeg_quality: u8,
}

/// The settings of a source.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The connection to the camera.
    pub(crate) settings: Settings,
    /// The form of the published frames.
    pub(crate) form: Form,
    /// The requested GPU.
    pub(crate) gpu: Option<i64>,
}

impl msight_node::Settings for Parsed {
    type Flags = Flags;
    fn parse(flags: Flags) -> Result<Self> {
        Ok(Self { settings: flags.settings()?, form: flags.form()?, gpu: flags.gpu() })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum CaptureClock {
    Camera,
    Arrival,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Jpeg,
    Raw,
}

impl Flags {
    fn settings(&self) -> Result<Settings> {
        let (flag, url) = match (&self.url, &self.url_file) {
            (_, Some(file)) => ("--url-file", first_line("--url-file", file)?),
            (Some(url), None) => ("--url", url.to_string()),
            (None, None) => bail!("the camera's URL is missing; set --url, --url-file or MSIGHT_RTSP_URL"),
        };
        let password = match &self.password_file {
            Some(file) => Some(first_line("--password-file", file)?),
            None => std::env::var(PASSWORD).ok(),
        };
        let url = CameraUrl::parse(&url, self.username.as_deref(), password.as_deref());
        let url = url.with_context(|| format!("argument {flag}"))?;
        if self.tls_ca.is_some() && self.insecure_tls {
            bail!("argument --insecure-tls: not allowed with argument --tls-ca, which says what to trust");
        }
        let tls = Tls { ca_file: self.tls_ca.clone(), accepts_any: self.insecure_tls };
        if url.is_tls() {
            if self.rtsp_transport == Transport::Udp {
                bail!("argument --rtsp-transport: udp is not encrypted; use tcp with rtsps://");
            }
            tls.ca_file.as_deref().map_or(Ok(()), relay::check_ca)?;
        } else if self.tls_ca.is_some() || self.insecure_tls {
            let flag = if self.insecure_tls { "--insecure-tls" } else { "--tls-ca" };
            bail!("argument {flag}: the camera's URL begins with rtsp://, without TLS; use rtsps://");
        }
        Ok(Settings {
            url,
            transport: self.rtsp_transport,
            connect_timeout: self.connect_timeout,
            read_timeout: self.read_timeout,
            max_skew: (self.capture_clock == CaptureClock::Camera)
                .then_some(self.max_clock_skew.as_secs_f64()),
            tls,
            with_access_units: self.with_access_units,
            key_frames_only: self.keyframes_only,
        })
    }

    fn form(&self) -> Result<Form> {
        for (name, value) in [("--resize-ratio", self.resize_ratio), ("--fps", self.fps)] {
            if let Some(value) = value.filter(|value| !value.is_finite() || *value <= 0.0) {
                bail!("argument {name}: invalid number: '{value}'; use a positive number, such as 0.5");
            }
        }
        Ok(Form {
            wire: match self.format {
                Format::Jpeg => WireForm::Jpeg(self.jpeg_quality),
                Format::Raw => WireForm::Raw,
            },
            handed_over: false,
            deferred: false,
            resize: self.resize_ratio,
            fps: self.fps,
        })
    }

    fn gpu(&self) -> Option<i64> {
        self.gpu.filter(|index| *index >= 0)
    }
}

/// The first line of the file that a flag names.
fn first_line(flag: &str, file: &Path) -> Result<String> {
    let failed = || format!("argument {flag}: cannot read {file:?}");
    let text = std::fs::read_to_string(file).with_context(failed)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => bail!("argument {flag}: the first line of {file:?} is empty; write the value there"),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = argparse::float(text)?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|time| !time.is_zero() && time.as_secs() < 1 << 31)
        .ok_or_else(|| format!("invalid number of seconds: '{text}'; use a number above 0"))
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, FromArgMatches as _};

    use super::*;

    fn flags(args: &[&str]) -> Flags {
        let matches = Flags::augment_args(Command::new("test"))
            .try_get_matches_from(std::iter::once(&"test").chain(args))
            .unwrap_or_else(|e| panic!("{e}"));
        Flags::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn secrets_are_read_from_files_and_absent_from_debug() {
        let folder = tempfile::tempdir().unwrap();
        let url_file = folder.path().join("url");
        std::fs::write(&url_file, "rtsp://viewer@camera/main\n").unwrap();
        let password_file = folder.path().join("password");
        std::fs::write(&password_file, "ge heim \n").unwrap();
        let path = |file: &Path| file.to_str().unwrap().to_owned();
        let flags = flags(&["--url-file", &path(&url_file), "--password-file", &path(&password_file)]);
        let settings = flags.settings().unwrap();
        assert_eq!(settings.url.credentials(), Some(("viewer", "ge heim ")));
        assert!(!format!("{flags:?} {settings:?}").contains("heim"));
    }

    #[test]
    fn the_default_jpeg_quality_differs_from_that_of_msight() {
        let wire = |args: &[&str]| flags(&[&["-u", "rtsp://c/"], args].concat()).form().unwrap().wire;
        assert_eq!(wire(&[]), WireForm::Jpeg(80));
        assert_eq!(wire(&["--jpeg-quality", "50"]), WireForm::Jpeg(50));
    }

    #[test]
    fn what_is_trusted_is_checked_before_a_camera_is_asked() {
        let said = |args: &[&str]| flags(args).settings().unwrap_err().to_string();
        assert!(said(&["-u", "rtsps://c/", "--tls-ca", "/nowhere"]).contains("--tls-ca: /nowhere"));
        assert!(said(&["-u", "rtsp://c/", "--insecure-tls"]).contains("use rtsps://"));
        assert!(said(&["-u", "rtsps://c/", "--rtsp-transport", "udp"]).contains("not encrypted"));
        assert!(flags(&["-u", "rtsps://c/", "--insecure-tls"]).settings().is_ok());
    }

    #[test]
    fn the_gpu_index_is_accepted_and_invalid_numbers_are_rejected() {
        assert_eq!(flags(&["-u", "rtsp://c/", "-g", "-1"]).gpu(), None);
        assert_eq!(flags(&["-u", "rtsp://c/", "-g", "0"]).gpu(), Some(0));
        for bad in [["-r", "0"], ["-r", "nan"], ["--fps", "inf"], ["-r", "-1"]] {
            let flags = flags(&[&["-u", "rtsp://c/"][..], &bad].concat());
            assert!(flags.form().unwrap_err().to_string().contains("positive"), "{bad:?}");
        }
    }
}
