use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::Path;

use msight_spool::{MAX_SIDECAR, PathError, Spool};
use proptest::prelude::*;

use crate::{START, files, segment, spool, unfinished};

#[test]
fn a_segment_goes_from_part_to_whole_to_uploaded_to_deleted() {
    let (_folder, spool) = spool();
    let mut part = spool.create(Some("north gate"), START, "mp4").unwrap();
    assert_eq!(files(&spool), ["north gate/2026-11-28/16-53-00.123Z.mp4.part"]);
    assert!(part.path().ends_with("16-53-00.123Z.mp4.part"));
    part.file().write_all(b"video").unwrap();
    let whole = part.complete(b"{\"a\": 1}").unwrap();
    assert_eq!(
        files(&spool),
        ["north gate/2026-11-28/16-53-00.123Z.json", "north gate/2026-11-28/16-53-00.123Z.mp4"]
    );
    assert_eq!((whole.relative_path(), whole.bytes()), ("north gate/2026-11-28/16-53-00.123Z.mp4", 5));
    assert_eq!(whole.sidecar().unwrap(), b"{\"a\": 1}");

    let named = spool.segment(whole.relative_path()).unwrap();
    let mut video = String::new();
    named.open().unwrap().read_to_string(&mut video).unwrap();
    assert_eq!((video.as_str(), named.bytes(), named.extension()), ("video", 5, "mp4"));

    assert!(!named.is_uploaded().unwrap());
    named.mark_uploaded(b"{\"bucket\": \"b\"}").unwrap();
    assert!(whole.is_uploaded().unwrap() && spool.waiting(9).unwrap().is_empty());
    named.delete().unwrap();
    assert_eq!(std::fs::read_dir(spool.root()).unwrap().count(), 0, "empty folders are removed");
}

#[test]
fn a_segment_that_vanished_says_so() {
    let (_folder, spool) = spool();
    let whole = segment(&spool, "north", START, b"video");
    whole.clone().delete().unwrap();
    whole.clone().delete().unwrap();
    for error in [whole.open().unwrap_err(), whole.sidecar().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("gone"), "{error}");
    }
    assert!(matches!(spool.segment(whole.relative_path()), Err(PathError::Gone { .. })));
}

#[test]
fn segments_of_one_millisecond_get_suffixes_whatever_their_extension() {
    let (_folder, spool) = spool();
    let mut names = Vec::new();
    for extension in ["mp4", "ts", "mp4", "webm"] {
        let part = spool.create(None, START, extension).unwrap();
        names.push(part.relative_path().to_owned());
        if extension == "ts" {
            part.complete(b"{}").unwrap().mark_uploaded(b"{}").unwrap();
        }
    }
    let name = |rest: &str| format!("None/2026-11-28/16-53-00.123Z{rest}");
    assert_eq!(names, [name(".mp4"), name("_2.ts"), name("_3.mp4"), name("_4.webm")]);
    assert_eq!(spool.create(None, START, "exe").unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn many_programs_share_a_folder() {
    let (_folder, spool) = spool();
    let root = spool.root();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(move || {
                let spool = Spool::open(root).unwrap();
                for _ in 0..20 {
                    let part = spool.create(Some("one"), START, "mp4").unwrap();
                    assert!(unfinished(&spool).is_empty(), "all writers live");
                    // Removes the folder each time that it is empty.
                    part.complete(b"{}").unwrap().delete().unwrap();
                }
            });
        }
    });
    assert_eq!(files(&spool), [""; 0]);
}

#[test]
fn odd_times_have_names_that_sort() {
    let (_folder, spool) = spool();
    for (start, name) in [
        (f64::NAN, "1970-01-01/00-00-00.000Z.mp4"),
        (-5.0, "1970-01-01/00-00-00.000Z_2.mp4"),
        (1e300, "1970-01-01/00-00-00.000Z_3.mp4"),
        (f64::INFINITY, "1970-01-01/00-00-00.000Z_4.mp4"),
        (START + 0.0004, "2026-11-28/16-53-00.123Z.mp4"),
        (START + 0.0006, "2026-11-28/16-53-00.124Z.mp4"),
    ] {
        assert_eq!(segment(&spool, "s", start, b"").relative_path(), format!("s/{name}"));
    }
}

#[test]
fn hostile_paths_are_refused() {
    let (folder, spool) = spool();
    let outside = folder.path().join("outside/2026-11-28");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("1.mp4"), "secret").unwrap();
    std::fs::write(outside.join("1.json"), "{}").unwrap();
    let long = format!("{}/2026-11-28/1.mp4", "x".repeat(256));
    let long_file = format!("s/2026-11-28/{}.mp4", "x".repeat(250));
    for path in [
        "",
        "..",
        "/",
        "1.mp4",
        "../outside/2026-11-28/1.mp4",
        "s/../../outside/2026-11-28/1.mp4",
        "../2026-11-28/1.mp4",
        "./2026-11-28/1.mp4",
        "/2026-11-28/1.mp4",
        "//1.mp4",
        outside.join("1.mp4").to_str().unwrap(),
        "..\\outside/2026-11-28/1.mp4",
        "s\\..\\..\\outside/2026-11-28/1.mp4",
        "s\0/2026-11-28/1.mp4",
        "s/2026-11-28/1\0.mp4",
        "s/2026-11-28/..mp4",
        "s/2026-11-28/.mp4",
        "s/2026-11-28/1.json",
        "s/2026-11-28/1.mp4.part",
        "s/2026-11-28/1",
        "s/today/1.mp4",
        "s/2026-11-28/a/1.mp4",
        &long,
        &long_file,
        &"a/".repeat(100_000),
    ] {
        let error = spool.segment(path).unwrap_err();
        assert!(matches!(error, PathError::Invalid { .. }), "{path:?}: {error}");
        assert!(error.to_string().len() < 1000);
    }
    assert!(matches!(spool.segment("s/2026-11-28/1.mp4"), Err(PathError::Gone { .. })));
}

#[test]
fn symbolic_links_below_the_folder_are_refused() {
    let (folder, spool) = spool();
    let outside = folder.path().join("outside");
    std::fs::create_dir_all(outside.join("2026-11-28")).unwrap();
    std::fs::write(outside.join("2026-11-28/1.mp4"), "secret").unwrap();
    std::fs::write(outside.join("2026-11-28/1.json"), "{}").unwrap();
    let whole = segment(&spool, "s", START, b"video");

    symlink(&outside, spool.root().join("linked")).unwrap();
    symlink(outside.join("2026-11-28"), spool.root().join("s/2026-11-29")).unwrap();
    let day = spool.root().join("s/2026-11-28");
    symlink(outside.join("2026-11-28/1.mp4"), day.join("2.mp4")).unwrap();
    std::fs::write(day.join("2.json"), "{}").unwrap();
    for path in ["linked/2026-11-28/1.mp4", "s/2026-11-29/1.mp4", "s/2026-11-28/2.mp4"] {
        assert!(matches!(spool.segment(path), Err(PathError::Invalid { .. })), "{path}");
    }
    assert!(spool.create(Some("linked"), START, "mp4").is_err());
    assert_eq!(files_in(&outside.join("2026-11-28")), 2, "nothing was written there");
    let waiting: Vec<_> =
        spool.waiting(9).unwrap().iter().map(|found| found.relative_path().to_owned()).collect();
    assert_eq!(waiting, [whole.relative_path()]);

    // The file or its sidecar can become a link after it was found.
    for name in ["16-53-00.123Z.mp4", "16-53-00.123Z.json"] {
        std::fs::remove_file(day.join(name)).unwrap();
        symlink(outside.join("2026-11-28/1.mp4"), day.join(name)).unwrap();
    }
    assert!(whole.open().is_err() && whole.sidecar().is_err());
    assert!(unfinished(&spool).is_empty());
}

fn files_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn the_folder_itself_can_be_a_link() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("disk")).unwrap();
    symlink(folder.path().join("disk"), folder.path().join("spool")).unwrap();
    let spool = Spool::open(folder.path().join("spool")).unwrap();
    let whole = segment(&spool, "s", START, b"video");
    assert!(spool.segment(whole.relative_path()).is_ok());
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let error = Spool::open(folder.path().join("file/spool")).unwrap_err().to_string();
    assert!(error.contains("file/spool") && error.contains("spool folder"), "{error}");
}

#[test]
fn sidecars_are_bounded() {
    let (_folder, spool) = spool();
    let whole = segment(&spool, "s", START, b"video");
    let sidecar = whole.path().with_extension("json");
    std::fs::File::options().write(true).open(sidecar).unwrap().set_len(MAX_SIDECAR + 1).unwrap();
    assert_eq!(whole.sidecar().unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn a_pipe_in_place_of_a_file_does_not_block() {
    let (_folder, spool) = spool();
    let whole = segment(&spool, "s", START, b"video");
    std::fs::remove_file(whole.path()).unwrap();
    let made = std::process::Command::new("mkfifo").arg(whole.path()).status().unwrap();
    assert!(made.success());
    assert!(whole.open().is_err());
    assert!(matches!(spool.segment(whole.relative_path()), Err(PathError::Invalid { .. })));
    assert!(spool.waiting(9).unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn sensors_stay_below_the_folder(
        sensor in prop_oneof![any::<String>(), "[./\\\\%a\0]{0,12}", "[a/.]{250,300}"], start in any::<f64>()
    ) {
        let (_folder, spool) = spool();
        let whole = segment(&spool, &sensor, start, b"video");
        prop_assert_eq!(whole.relative_path().split('/').count(), 3);
        prop_assert!(std::fs::canonicalize(whole.path()).unwrap().starts_with(spool.root()));
        prop_assert_eq!(spool.segment(whole.relative_path()).unwrap().bytes(), 5);
        let waiting = spool.waiting(2).unwrap();
        prop_assert_eq!(waiting[0].relative_path(), whole.relative_path());
    }

    #[test]
    fn paths_stay_below_the_folder(
        path in prop_oneof![any::<String>(), "[./s\\\\]{0,8}/2026-11-28/[.1a/]{0,4}.mp4", "(\\.\\./|s/|outside/|2026-11-28/){1,5}1.mp4"]
    ) {
        let (folder, spool) = spool();
        for place in ["outside", "spool/s", "."] {
            let place = folder.path().join(place).join("2026-11-28");
            std::fs::create_dir_all(&place).unwrap();
            std::fs::write(place.join("1.mp4"), "video").unwrap();
        }
        if let Ok(found) = spool.segment(&path) {
            prop_assert_eq!(found.path(), spool.root().join("s/2026-11-28/1.mp4"));
        }
    }
}
