//! The bus does not take the messages of segments: recording into a folder goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use msight_bus::{Bus, Connection, Error, MemoryRegistry};
use msight_node::Resources;
use msight_node::health::Health;
use msight_node::metrics::Metrics;
use msight_node::testing::{GatedBus, until};
use msight_spool::Spool;
use tokio_util::sync::CancellationToken;

use crate::events::publish;
use crate::segments::check_track;
use crate::stream::{Recipe, units};

/// Each frame is a key frame.
const KEY_FRAMES: &str = "-c:v libx264 -preset ultrafast -g 1";

#[tokio::test(flavor = "multi_thread")]
async fn recording_into_a_folder_does_not_wait_for_the_bus() {
    let folder = tempfile::tempdir().unwrap();
    let is_away = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&is_away);
    let bus: Arc<dyn Bus> = Arc::new(GatedBus::new(move |topic| {
        let is_away = topic.as_str() == "segments" && seen.load(Ordering::Relaxed);
        let (operation, place, reason) = ("publish".to_owned(), "memory".to_owned(), "it is away".to_owned());
        let away = Error::Unavailable { operation, place, reason };
        Box::pin(async move { if is_away { Err(away) } else { Ok(()) } })
    }));
    let Connection { bus, registry } = Connection { bus, registry: Arc::new(MemoryRegistry::new()) };
    let (metrics, stop) = (Metrics::default(), CancellationToken::new());
    let resources = Resources {
        bus: Arc::clone(&bus),
        registry,
        local: None,
        device: "edge1".to_owned(),
        metrics: metrics.clone(),
        health: Health::default(),
        stop: stop.clone(),
    };
    let folder_flag = format!("--spool={}", folder.path().display());
    let line = "-n recorder -st units -pt segments --segment-duration 0.1 --fragment-duration 0.1";
    let args = line.split(' ').map(str::to_owned).chain([folder_flag]).collect::<Vec<_>>();
    let node = tokio::spawn(async move { msight_recorder::ENTRY.run(args, resources).await });
    let sent = units("gate", "a", Recipe { video: KEY_FRAMES, audio: "", seconds: 10 });
    for unit in &sent {
        publish(&*bus, "units", unit).await;
    }
    let spool = Spool::open(folder.path()).unwrap();
    // More than the messages that a node keeps for the bus.
    until("most of it is recorded", async || spool.waiting(1000).unwrap().len() > 70).await;
    is_away.store(false, Ordering::Relaxed);
    stop.cancel();
    node.await.unwrap().expect("no message is lost");
    let files: Vec<_> = spool.waiting(1000).unwrap().iter().map(|segment| segment.path()).collect();
    check_track(&sent, "video", &files);
    let dropped = metrics.render();
    let of = |reason: &str| {
        format!("msight_announcements_dropped_total{{node=\"recorder\",reason=\"{reason}\"}} ")
    };
    let full = dropped.lines().find_map(|line| line.strip_prefix(&of("queue full"))).unwrap();
    assert!(full.parse::<usize>().unwrap() > 0, "{dropped}");
}
