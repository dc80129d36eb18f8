//! Large messages of several writers to one subscriber.

use std::time::Duration;

use super::*;

const WRITERS: u64 = 6;
const BYTES: usize = 20 << 20;

/// Publishes one large message per writer at the same moment, and returns the counters of the subscription.
async fn publish_at_once(server: &RedisServer, url: &str) -> msight_bus::SubscriptionStats {
    let topic = topic("segments");
    let queue = QueueConfig::of_bytes(256 << 20);
    let subscription = server.bus().await.subscribe(&topic, queue).await.unwrap();
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        let (bus, topic) = (connect(url).await.bus, topic.clone());
        writers.push(tokio::spawn(async move { bus.publish(&topic, vec![0; BYTES].into()).await.unwrap() }));
    }
    for writer in writers {
        assert_eq!(writer.await.unwrap(), Receivers::Known(1));
    }
    until("all have arrived, or the subscriber was cut off", async || {
        let stats = subscription.stats();
        stats.received == WRITERS || stats.disconnects > 0
    })
    .await;
    assert_eq!(server.cli(&["HLEN", "MSIGHT:TURNS"]), "0");
    subscription.stats()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_large_messages_take_turns() {
    let server = RedisServer::start(&[]);
    let stats = publish_at_once(&server, &server.url()).await;
    assert_eq!((stats.received, stats.disconnects), (WRITERS, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_user_without_further_rights_takes_turns_too() {
    let server = RedisServer::start(&[]);
    let rules =
        "ACL SETUSER w reset on >p ~MSIGHT:* &segments +hello +publish +hget +hset +hdel +hgetall +eval";
    assert_eq!(server.cli(&rules.split(' ').collect::<Vec<_>>()), "OK");
    let url = format!("redis://w:p@127.0.0.1:{}", server.port);
    let stats = publish_at_once(&server, &url).await;
    assert_eq!((stats.received, stats.disconnects), (WRITERS, 0));
}

#[test]
fn a_stalled_subscriber_delays_writers_only_briefly() {
    let server = RedisServer::start(&[]);
    let url = server.url();
    let (subscribed, is_subscribed) = std::sync::mpsc::channel();
    let (written, is_written) = std::sync::mpsc::channel::<()>();
    // The runtime's only thread blocks, so nothing reads the socket.
    let subscriber = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _subscription = runtime.block_on(async {
            connect(&url).await.bus.subscribe(&topic("segments"), QueueConfig::default()).await.unwrap()
        });
        subscribed.send(()).unwrap();
        is_written.recv().unwrap();
    });
    is_subscribed.recv().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let bus = server.bus().await;
        let began = std::time::Instant::now();
        for _ in 0..4 {
            bus.publish(&topic("segments"), vec![0; BYTES].into()).await.unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    });
    written.send(()).unwrap();
    subscriber.join().unwrap();
}
