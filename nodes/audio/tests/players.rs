//! What ffmpeg hears in the encoder's units, and what it reads in every code of G.711.

use std::f64::consts::TAU;
use std::path::Path;
use std::process::{Command, Stdio};

use msight_audio::{AacEncoder, AacUnit, FRAME, decode_pcm, default_bitrate};
use msight_media::Codec;
use msight_media::ParameterSets;
use msight_media::ts::{Track, TsWriter, Unit};

fn ffmpeg(folder: &Path, arguments: &str) {
    let output = Command::new("ffmpeg")
        .args("-v error -xerror -y".split_whitespace())
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg is installed (apt-get install ffmpeg)");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.trim().is_empty(), "{arguments}: {stderr}");
}

fn samples(file: &Path) -> Vec<i16> {
    std::fs::read(file).unwrap().chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// A sine of 440 Hz in each channel, at half of the scale.
fn sine(rate: u32, channels: u8, seconds: u32) -> Vec<i16> {
    (0..rate * seconds)
        .map(|at| ((f64::from(at) * 440.0 * TAU / f64::from(rate)).sin() * 16_384.0) as i16)
        .flat_map(|sample| std::iter::repeat_n(sample, channels.into()))
        .collect()
}

/// Signal to noise in dB.
fn ratio(original: &[i16], decoded: &[i16]) -> f64 {
    let (mut signal, mut noise) = (0.0, 0.0);
    for (one, other) in original.iter().zip(decoded).map(|(one, other)| (f64::from(*one), f64::from(*other)))
    {
        signal += one * one;
        noise += (one - other) * (one - other);
    }
    10.0 * (signal / noise.max(1.0)).log10()
}

fn encode(samples: &[i16], rate: u32, channels: u8) -> (ParameterSets, Vec<AacUnit>) {
    let mut encoder = AacEncoder::new(rate, channels, default_bitrate(rate, channels)).unwrap();
    let sets = ParameterSets::new(vec![encoder.config().to_vec().into()]);
    let mut units = Vec::new();
    let mut pts = 0;
    // 20 ms, as in a packet of RTP.
    for part in samples.chunks((rate / 50) as usize * usize::from(channels)) {
        units.extend(encoder.push(part, pts).unwrap());
        pts += (part.len() / usize::from(channels)) as i64;
    }
    units.extend(encoder.finish().unwrap());
    (sets, units)
}

#[test]
fn a_sine_is_decoded_with_its_times() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (rate, channels) in [(8_000, 1), (16_000, 1), (44_100, 2), (48_000, 1)] {
        let original = sine(rate, channels, 3);
        let (sets, units) = encode(&original, rate, channels);
        assert_eq!(units[0].pts, -i64::from(FRAME));

        let mut writer = TsWriter::new(&[Track { codec: Codec::Aac, channels: None }]).unwrap();
        let mut out = Vec::new();
        for unit in &units {
            let pts = unit.pts * 90_000 / i64::from(rate);
            let unit = Unit { data: &unit.data, parameter_sets: Some(&sets), pts, dts: pts, key: true };
            writer.write(0, &unit, &mut out).unwrap();
        }
        std::fs::write(folder.join("sine.ts"), out).unwrap();
        ffmpeg(folder, "-i sine.ts -f s16le sine.pcm");

        // The first unit is the one before the samples.
        let decoded = samples(&folder.join("sine.pcm"));
        let decoded = &decoded[FRAME as usize * usize::from(channels)..];
        let surplus = decoded.len() - original.len();
        assert!(surplus < FRAME as usize * usize::from(channels), "{surplus} more samples of {rate} Hz");
        let decoded = &decoded[..original.len()];
        // The sine begins and ends at once, which takes more bits than there are.
        let second = rate as usize * usize::from(channels);
        let middle = ratio(&original[second..2 * second], &decoded[second..2 * second]);
        let whole = ratio(&original, decoded);
        assert!(whole > 35.0 && middle > 55.0, "{whole} dB, {middle} dB in the middle, at {rate} Hz");
        let peak = decoded.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
        assert!((16_000..17_000).contains(&peak), "{peak}");
    }
}

#[test]
fn every_code_of_g711_is_the_sample_that_ffmpeg_reads() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let codes: Vec<u8> = (0..=255).collect();
    std::fs::write(folder.join("codes"), &codes).unwrap();
    for (codec, format) in [(Codec::Pcmu, "mulaw"), (Codec::Pcma, "alaw")] {
        ffmpeg(folder, &format!("-f {format} -ar 8000 -i codes -f s16le samples"));
        assert_eq!(decode_pcm(codec, &codes).unwrap(), samples(&folder.join("samples")));
    }
}
