mod deviations;
mod extension;
mod files;
mod quantization;

use std::process::Command;
use std::sync::LazyLock;

use image::RgbImage;

use super::segments::{EOI, SOI, Segments};
use super::tables::Tables;
use super::*;
use crate::testing::Sent;

/// A picture of ffmpeg, taken apart as a camera does.
#[derive(Clone)]
struct Picture {
    file: Vec<u8>,
    frame: Vec<u8>,
    tables: Vec<u8>,
    restart_interval: Option<u16>,
    kind: u8,
    size: (u32, u32),
    scan: Vec<u8>,
}

fn encode(size: (u32, u32), pixels: &str, more: &[&str]) -> Picture {
    let source = format!("testsrc2=s={}x{}:r=1", size.0, size.1);
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", &source, "-frames:v", "1", "-pix_fmt", pixels])
        .args(["-c:v", "mjpeg", "-huffman", "default", "-q:v", "6"])
        .args(more)
        .args(["-f", "mjpeg", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = output.stdout;
    let segments = Segments::read(&file);
    let scan = segments.length + segments.scan.unwrap().len();
    Picture {
        frame: segments.frame.unwrap().bytes.to_vec(),
        tables: segments
            .quantization
            .iter()
            .flat_map(|dqt| dqt[4..].chunks(65))
            .flat_map(|t| t[1..].to_vec())
            .collect(),
        restart_interval: segments.restart.map(|dri| u16::from_be_bytes([dri[4], dri[5]])),
        kind: (pixels == "yuvj420p").into(),
        size,
        scan: file[scan..].strip_suffix(&EOI).unwrap().to_vec(),
        file,
    }
}

static PICTURE: LazyLock<Picture> = LazyLock::new(|| encode((320, 240), "yuvj420p", &[]));

impl Picture {
    /// As a camera that follows the standard sends it, with quantization tables.
    fn packets(&self, timestamp: u32, q: u8) -> Vec<Sent> {
        self.packets_of(timestamp, q, &self.tables, &self.scan)
    }

    fn packets_of(&self, timestamp: u32, q: u8, tables: &[u8], scan: &[u8]) -> Vec<Sent> {
        let pieces = scan.chunks(1000).enumerate().map(|(index, piece)| {
            let kind = self.kind + if self.restart_interval.is_some() { 64 } else { 0 };
            let mut payload = (index as u32 * 1000).to_be_bytes().to_vec();
            payload.extend([kind, q, (self.size.0 / 8) as u8, (self.size.1 / 8) as u8]);
            if let Some(interval) = self.restart_interval {
                payload.extend(interval.to_be_bytes());
                payload.extend([0xff; 2]);
            }
            if index == 0 && q >= 128 {
                payload.extend([0, 0]);
                payload.extend((tables.len() as u16).to_be_bytes());
                payload.extend(tables);
            }
            payload.extend(piece);
            let marker = (index + 1) * 1000 >= scan.len();
            Sent { timestamp, marker, after_gap: false, extension: None, payload }
        });
        pieces.collect()
    }

    fn pixels(&self) -> RgbImage {
        pixels(&self.file)
    }
}

fn pixels(file: &[u8]) -> RgbImage {
    image::load_from_memory_with_format(file, image::ImageFormat::Jpeg).unwrap().to_rgb8()
}

fn receive(jpeg: &mut Jpeg, packets: &[Sent]) -> Output {
    crate::testing::receive(packets, |packet, after_gap, out| jpeg.push(packet, after_gap, out))
}

#[track_caller]
fn assert_whole(out: &Output, picture: &Picture) {
    assert_complete(out, picture);
    assert!(pixels(&out.units[0].data) == picture.pixels(), "other pixels");
}

/// Like [`assert_whole`], for large pictures, which take seconds to decode.
#[track_caller]
fn assert_complete(out: &Output, picture: &Picture) {
    assert_eq!((out.units.len(), &out.faults[..]), (1, &[][..]));
    let unit = &out.units[0];
    assert_eq!((unit.size, unit.key, unit.after_loss), (Some(picture.size), true, false));
    assert!(unit.data.starts_with(&SOI) && unit.data.ends_with(&[&picture.scan[..], &EOI].concat()));
    assert_eq!(Segments::read(&unit.data).frame.map(|frame| frame.size), unit.size);
}
