use std::io::{Read as _, Seek as _, Write as _};

use msight_spool::MAX_UNFINISHED;

use crate::{START, files, segment, spool, unfinished};

#[test]
fn a_living_writer_keeps_its_file_and_a_dead_one_loses_it() {
    let (_folder, spool) = spool();
    let mut part = spool.create(Some("s"), START, "mp4").unwrap();
    part.file().write_all(b"half").unwrap();
    assert!(unfinished(&spool).is_empty());
    drop(part);

    let mut found = unfinished(&spool);
    assert_eq!(found.len(), 1);
    assert!(unfinished(&spool).is_empty(), "now it is locked again");
    let mut part = found.remove(0);
    let mut content = String::new();
    part.file().read_to_string(&mut content).unwrap();
    assert_eq!(content, "half");
    part.file().rewind().unwrap();
    part.file().write_all(b"mended").unwrap();
    let whole = part.complete(b"{}").unwrap();
    assert_eq!((whole.bytes(), spool.waiting(9).unwrap().len()), (6, 1));
}

#[test]
fn an_unfinished_segment_can_be_discarded() {
    let (_folder, spool) = spool();
    drop(spool.create(Some("s"), START, "ts").unwrap());
    for part in unfinished(&spool) {
        part.discard().unwrap();
    }
    assert_eq!(std::fs::read_dir(spool.root()).unwrap().count(), 0);
}

/// The states in which a program can die while it completes a segment.
#[test]
fn a_crash_while_completing_leaves_a_whole_or_an_unfinished_segment() {
    let name = "s/2026-11-28/16-53-00.123Z";
    for (sidecar, is_whole) in [(None, false), (Some(".json.tmp"), false), (Some(".json"), true)] {
        let (_folder, spool) = spool();
        let mut part = spool.create(Some("s"), START, "mp4").unwrap();
        part.file().write_all(b"video").unwrap();
        drop(part);
        if let Some(sidecar) = sidecar {
            std::fs::write(spool.root().join(format!("{name}{sidecar}")), "{}").unwrap();
        }
        assert!(spool.waiting(9).unwrap().is_empty(), "{sidecar:?}");
        let found = spool.unfinished().unwrap();
        assert_eq!((found.completed.len() == 1, found.errors.len()), (is_whole, 0));
        let parts = found.parts;
        assert_eq!((parts.is_empty(), spool.waiting(9).unwrap().len() == 1), (is_whole, is_whole));
        parts.into_iter().for_each(|part| part.discard().unwrap());
        // The first call saw the video beside the temporary file.
        unfinished(&spool);
        let whole = [format!("{name}.json"), format!("{name}.mp4")];
        assert_eq!(files(&spool), if is_whole { &whole[..] } else { &[] }, "{sidecar:?}");
    }
}

#[test]
fn a_crash_while_deleting_leaves_nothing_that_waits() {
    let (_folder, spool) = spool();
    let whole = segment(&spool, "s", START, b"video");
    whole.mark_uploaded(b"{}").unwrap();
    std::fs::remove_file(whole.path()).unwrap();
    assert!(spool.waiting(9).unwrap().is_empty());
    let next = spool.create(Some("s"), START, "mp4").unwrap();
    assert!(next.relative_path().ends_with("_2.mp4"), "the name is in use");
    assert!(unfinished(&spool).is_empty());
    assert_eq!(files(&spool), ["s/2026-11-28/16-53-00.123Z_2.mp4.part"]);
}

#[test]
fn many_unfinished_segments_are_returned_by_and_by() {
    let (_folder, spool) = spool();
    for number in 0..MAX_UNFINISHED + 9 {
        drop(spool.create(Some("s"), START + number as f64, "mp4").unwrap());
    }
    let mut left = Vec::new();
    loop {
        let found = unfinished(&spool);
        if found.is_empty() {
            break;
        }
        left.push(found.len());
        found.into_iter().for_each(|part| part.discard().unwrap());
    }
    assert_eq!(left, [MAX_UNFINISHED, 9]);
}

#[test]
fn a_file_that_cannot_be_opened_does_not_hold_up_others() {
    let (_folder, spool) = spool();
    drop(spool.create(Some("b"), START, "mp4").unwrap());
    let odd = spool.root().join("a/2026-11-28");
    std::fs::create_dir_all(&odd).unwrap();
    std::fs::create_dir(odd.join("1.mp4.part")).unwrap();
    let mut found = spool.unfinished().unwrap();
    assert_eq!((found.parts.len(), found.errors.len()), (1, 1));
    found.parts.drain(..).for_each(|part| part.discard().unwrap());
    assert!(spool.unfinished().unwrap().errors[0].to_string().contains("1.mp4.part"));
}

#[test]
fn a_file_is_written_anew_or_stays_as_it_was() {
    let (_folder, spool) = spool();
    let mut part = spool.create(Some("s"), START, "mp4").unwrap();
    part.file().write_all(b"video").unwrap();
    let name = "s/2026-11-28/16-53-00.123Z.mp4.part";
    let refused: std::io::Result<()> = part.rewrite(|_, new| {
        new.write_all(b"half")?;
        assert_eq!(files(&spool), [name.to_owned(), format!("{name}.copy")]);
        assert!(unfinished(&spool).is_empty(), "its writer lives");
        assert_eq!(files(&spool).len(), 2);
        Err(std::io::ErrorKind::StorageFull.into())
    });
    assert!(refused.is_err());
    assert_eq!(files(&spool), [name]);
    part.rewrite(|old, new| {
        old.rewind()?;
        std::io::copy(old, new)?;
        new.write_all(b" and index")
    })
    .unwrap();
    assert_eq!(std::fs::read(part.path()).unwrap(), b"video and index");
    assert!(unfinished(&spool).is_empty(), "the new file is locked too");
    drop(part);

    // A writer that dies leaves a copy, which is never taken for a segment.
    std::fs::write(spool.root().join(format!("{name}.copy")), "half").unwrap();
    let parts = unfinished(&spool);
    assert_eq!((parts.len(), files(&spool)), (1, vec![name.to_owned()]));
}
