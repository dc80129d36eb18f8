use std::time::{Duration, SystemTime};

use crate::{START, files, segment, spool};

#[test]
fn waiting_segments_come_oldest_first_over_all_sensors_and_days() {
    let (_folder, spool) = spool();
    let starts = [86_400.0, 0.0, 3.0, 200_000.0, 1.0, 2.0];
    for (start, sensor) in starts.iter().zip(["b", "z", "a", "a", "b", "c"]) {
        segment(&spool, sensor, START + start, b"video");
    }
    let sensors = |limit| -> String {
        spool.waiting(limit).unwrap().iter().map(|found| &found.relative_path()[..1]).collect()
    };
    assert_eq!(sensors(9), "zbcaba");
    assert_eq!((sensors(0).as_str(), sensors(1).as_str(), sensors(5).as_str()), ("", "z", "zbcab"));
    let scan = spool.scan(2, |path| path.starts_with("z/") || path.starts_with("b/")).unwrap();
    let left: Vec<_> = scan.waiting.iter().map(|found| &found.relative_path()[..1]).collect();
    assert_eq!(left, ["c", "a"]);
}

#[test]
fn files_of_others_are_left_alone() {
    let (_folder, spool) = spool();
    let day = spool.root().join("s/2026-11-28");
    std::fs::create_dir_all(&day).unwrap();
    for name in
        ["lonely.mp4", "alone.json", "notes.txt", "no extension", ".hidden.mp4", "a b.mp4", "x.mp4.part"]
    {
        std::fs::write(day.join(name), "").unwrap();
    }
    std::fs::create_dir(day.join("folder.mp4")).unwrap();
    std::fs::write(day.join("folder.json"), "").unwrap();
    std::fs::write(spool.root().join("readme.txt"), "").unwrap();
    let scan = spool.scan(9, |_| false).unwrap();
    assert!(scan.waiting.is_empty());
    assert_eq!((scan.without_sidecar, scan.examples), (1, vec!["s/2026-11-28/lonely.mp4".to_owned()]));
    assert!(day.join("lonely.mp4").exists());
}

#[test]
fn uploaded_segments_are_kept_for_a_time() {
    let (_folder, spool) = spool();
    for (sensor, is_uploaded) in [("a", true), ("b", false), ("c", true)] {
        let whole = segment(&spool, sensor, START, b"video");
        if is_uploaded {
            whole.mark_uploaded(b"{}").unwrap();
        }
    }
    let hour = Duration::from_secs(3600);
    assert_eq!(spool.remove_uploaded(SystemTime::now() - hour).unwrap(), 0);
    assert_eq!(spool.remove_uploaded(SystemTime::now() + hour).unwrap(), 2);
    assert_eq!(files(&spool), ["b/2026-11-28/16-53-00.123Z.json", "b/2026-11-28/16-53-00.123Z.mp4"]);
}

#[test]
fn a_day_in_which_nothing_waited_is_read_again_when_it_changes() {
    let (_folder, spool) = spool();
    let kept = segment(&spool, "a", START, b"video");
    kept.mark_uploaded(b"{}").unwrap();
    let day = kept.path().parent().unwrap().to_owned();
    let old = SystemTime::now() - Duration::from_secs(60);
    std::fs::File::open(&day).unwrap().set_modified(old).unwrap();
    assert!(spool.waiting(9).unwrap().is_empty());
    // Behind the back of the folder's time of modification: the day is known to be quiet.
    std::fs::remove_file(kept.path().with_extension("uploaded")).unwrap();
    std::fs::File::open(&day).unwrap().set_modified(old).unwrap();
    assert!(spool.waiting(9).unwrap().is_empty());
    segment(&spool, "a", START + 1.0, b"video");
    assert_eq!(spool.waiting(9).unwrap().len(), 2);
}

#[test]
fn thousands_of_segments_are_scanned_within_a_limit() {
    let (_folder, spool) = spool();
    // Without the syncs of `complete`.
    for sensor in 0..5 {
        let day = spool.root().join(format!("cam{sensor}/2026-11-28"));
        std::fs::create_dir_all(&day).unwrap();
        for number in 0..1000 {
            std::fs::write(day.join(format!("{number:04}-{sensor}.mp4")), "v").unwrap();
            std::fs::write(day.join(format!("{number:04}-{sensor}.json")), "{}").unwrap();
        }
    }
    let all = spool.waiting(usize::MAX).unwrap();
    assert_eq!(all.len(), 5000);
    let times: Vec<_> = all.iter().map(|found| found.relative_path().split_once('/').unwrap().1).collect();
    assert!(times.is_sorted());
    let some = spool.waiting(12).unwrap();
    assert!(some.iter().zip(&all).all(|(some, all)| some.relative_path() == all.relative_path()));
    assert_eq!(some.len(), 12);
}
