//! Any bytes as a file that a recorder left behind: the part that is whole is a part of the file.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use msight_media::aac::AudioSpecificConfig;
use msight_media::{matroska, mp4, ts};

fuzz_target!(|data: &[u8]| {
    let stream = ts::whole_length(&mut Cursor::new(data)).expect("memory can be read");
    assert!(stream <= data.len() as u64 && stream.is_multiple_of(ts::PACKET as u64));
    if let Some(file) = matroska::whole_length(&mut Cursor::new(data)).expect("memory can be read") {
        let whole = data.get(..file as usize).expect("a part of the file");
        assert_eq!(matroska::whole_length(&mut Cursor::new(whole)).expect("memory can be read"), Some(file));
    }
    if let Ok(file) = matroska::read(&mut Cursor::new(data)) {
        for track in &file.tracks {
            assert!(track.bytes <= data.len() as u64 && track.key_frames <= track.frames);
            let _ = (file.timing(track), track.codec_string(), track.codec_name());
        }
    }
    let _ = mp4::read_fragments(&mut Cursor::new(data), data.len() as u64);
    let _ = AudioSpecificConfig::parse(data);
});
