//! Any bytes as an MP4 file: it is read, timed and rewritten without a panic, and what is rewritten can be read.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use msight_media::mp4;

fuzz_target!(|data: &[u8]| {
    let Ok(movie) = mp4::read(&mut Cursor::new(data), data.len() as u64) else { return };
    for track in &movie.tracks {
        let timing = movie.timing(track);
        assert!(u64::from(timing.shown) <= u64::from(track.tables.count()));
        assert_eq!(track.tables.placed().count(), track.tables.count() as usize);
        let format = &track.format;
        let _ = (format.codec_string(), format.codec_name(), format.coded_size(), format.channels());
    }
    let mut out = Vec::new();
    if mp4::rewrite(&mut Cursor::new(data), &mut out, None).is_ok() {
        mp4::read(&mut Cursor::new(&out), out.len() as u64).expect("a file of our own");
    }
});
