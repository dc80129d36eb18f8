//! What kind of file it is, by its first bytes.

use std::io::{self, Read, Seek, SeekFrom};

use msight_media::ts::PACKET;

/// Bytes that are looked at: three packets of a transport stream.
const HEAD: u64 = 400;
/// The byte that a packet of a transport stream begins with.
pub(super) const SYNC: u8 = 0x47;
/// The id of the header of a Matroska file (RFC 8794, section 11.2.1).
const EBML: &[u8] = b"\x1a\x45\xdf\xa3";

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cmd) enum Format {
    /// MP4 and QuickTime.
    Mp4,
    /// MPEG transport stream.
    TransportStream,
    /// Matroska and WebM.
    Matroska,
    /// An empty file.
    Empty,
    /// One that is not read, and what to do.
    Other(&'static str, &'static str),
    /// None that is known.
    Unknown,
}

const FFPROBE: &str = "show it with `ffprobe`";
const REMUX: &str = "show it with `ffprobe`, or make an MP4 file of it: `ffmpeg -i FILE -c copy out.mp4`";

/// The first bytes of formats.
const MAGIC: [(&[u8], &str, &str); 16] = [
    (b"FLV\x01", "a Flash video", REMUX),
    (b"\x00\x00\x01\xba", "an MPEG program stream", REMUX),
    (b"\x00\x00\x00\x01", "a stream of H.264 or H.265 without a container", REMUX),
    (b"\x00\x00\x01", "a stream of H.264 or H.265 without a container", REMUX),
    (b"\xff\xd8\xff", "a JPEG picture", FFPROBE),
    (b"\x89PNG", "a PNG picture", FFPROBE),
    (b"RIFF", "an AVI, WAVE or WebP file", FFPROBE),
    (b"OggS", "an Ogg file", FFPROBE),
    (b"ID3", "an MP3 file", FFPROBE),
    (b"fLaC", "a FLAC file", FFPROBE),
    (b"#EXTM3U", "a playlist", "inspect the files that it names"),
    (b"{", "JSON, such as a sidecar", "name the video beside it"),
    (b"<", "HTML or XML, such as the error page of a server", "check the path or the URL"),
    (b"\x1f\x8b", "a gzip archive", "unpack it with `gunzip` first"),
    (b"PK\x03\x04", "a zip archive", "unpack it with `unzip` first"),
    (b"REDIS", "a snapshot of Redis", "name a video"),
];

impl Format {
    /// Looks at the beginning of a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(in crate::cmd) fn of(file: &mut (impl Read + Seek)) -> io::Result<Self> {
        let mut head = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.take(HEAD).read_to_end(&mut head)?;
        Ok(Self::of_bytes(&head))
    }

    fn of_bytes(head: &[u8]) -> Self {
        let is_packet = |at: usize| head.get(at).is_none_or(|byte| *byte == SYNC);
        if head.is_empty() {
            return Self::Empty;
        }
        if head.len() >= PACKET && (0..3).all(|packet| is_packet(packet * PACKET)) {
            return Self::TransportStream;
        }
        if msight_media::mp4::is_mp4(head) {
            return Self::Mp4;
        }
        if head.starts_with(EBML) {
            return Self::Matroska;
        }
        let found = MAGIC.iter().find(|(magic, _, _)| head.starts_with(magic));
        found.map_or(Self::Unknown, |(_, name, step)| Self::Other(name, step))
    }

    /// Why a file of this format is not shown, and what to do.
    pub(in crate::cmd) fn refusal(self) -> anyhow::Error {
        match self {
            Self::Other(name, step) => anyhow::anyhow!("it is {name}; {step}"),
            Self::Empty => {
                anyhow::anyhow!("the file is empty; its writer may have been killed before it wrote")
            }
            _ => anyhow::anyhow!("it is not an MP4 file, a Matroska file or a transport stream; {FFPROBE}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        assert_eq!(Format::of_bytes(b"\0\0\0\x20ftypisom"), Format::Mp4);
        let mut stream = vec![0; 400];
        (0..3).for_each(|packet| stream[packet * PACKET] = SYNC);
        assert_eq!(Format::of_bytes(&stream), Format::TransportStream);
        assert_eq!(Format::of_bytes(b"\x1a\x45\xdf\xa3abc"), Format::Matroska);
        assert_eq!(Format::of_bytes(b""), Format::Empty);
        assert_eq!(Format::of_bytes(b"GIF89a"), Format::Unknown);
        for (head, word) in [
            (&b"FLV\x01\x05"[..], "Flash"),
            (b"\xff\xd8\xff\xe0", "JPEG"),
            (b"{\"frame_ids\": []}", "sidecar"),
            (b"<?xml version", "server"),
            (b"", "empty"),
        ] {
            let refusal = Format::of_bytes(head).refusal().to_string();
            assert!(refusal.contains(word), "{refusal}");
        }
    }
}
