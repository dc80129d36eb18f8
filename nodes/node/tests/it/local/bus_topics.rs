//! Topics that are on the bus as well, for readers and writers outside the process.

use super::*;
use crate::running::{listen, switched};

ends!(alone, ImageData);
ends!(exposed, ImageData);

#[tokio::test]
async fn an_exposed_topic_has_on_redis_what_the_program_publishes_to_the_byte() {
    let redis = RedisServer::start(&[]);
    let connection = redis.connection().await;
    let bus = &*connection.bus;
    let mut heard = [listen(bus, "programs").await, listen(bus, "exposed").await];
    let process = Process::on(connection);
    process.local().expose(Topic::new("exposed").unwrap());
    let mut taken = exposed::taken();
    let take = process.ready(sink::<exposed::Take>(), "-n take -st exposed").await;
    let give = process.start(source::<exposed::Give>(), "-n give -pt exposed -sn s");
    // The same node as a program is without the topics of a process.
    let program = Process { resources: Resources { local: None, ..process.resources.clone() } };
    let other = program.start(source::<alone::Give>(), "-n other -pt programs -sn s");

    let encoded = Arc::new(AtomicBool::new(false));
    let sample = picture(&encoded);
    alone::give(sample.share().unwrap());
    exposed::give(sample);
    let of_program = heard[0].recv().await.unwrap().payload;
    assert_eq!(heard[1].recv().await.unwrap().payload, of_program);
    assert_eq!(
        decode::<ImageData>(&of_program).unwrap().body.image,
        Some(Bytes::from_static(b"a file").into())
    );
    // The node beside it has the picture itself.
    let _ = planes(&taken.recv().await.unwrap());
    until("it is counted", async || process.count("give", "msight_exposed_total") == 1).await;
    assert_eq!(process.count("give", "msight_published_total"), 1);
    for node in [give, take, other] {
        node.stop().await.unwrap();
    }
}

ends!(outage, BytesData);

#[tokio::test]
async fn a_bus_that_is_away_costs_an_exposed_topic_its_outer_readers_alone() {
    let away = Arc::new(AtomicBool::new(true));
    let process = Process::on(switched(&away));
    let mut heard = listen(&*process.resources.bus, "texts").await;
    process.local().expose(Topic::new("texts").unwrap());
    let mut taken = outage::taken();
    let take = process.ready(sink::<outage::Take>(), "-n take -st texts").await;
    let give = process.start(source::<outage::Give>(), "-n give -pt texts -sn s");
    for number in 0..100 {
        outage::give(text(&number.to_string()));
        assert_eq!(taken.recv().await.unwrap().body, text(&number.to_string()).body);
    }
    until("the oldest are dropped", async || {
        process.count("give", "msight_expose_dropped_total") == 100 - 64
    })
    .await;
    away.store(false, SeqCst);
    let first = decode::<BytesData>(&heard.recv().await.unwrap().payload).unwrap();
    assert_eq!(first.body, text("0").body, "it was on its way");
    let second = decode::<BytesData>(&heard.recv().await.unwrap().payload).unwrap();
    assert_eq!(second.body, text("37").body);
    give.stop().await.unwrap();
    take.stop().await.unwrap();
    assert_eq!(process.count("give", "msight_exposed_total"), 64);
}

ends!(outside, BytesData);

#[tokio::test]
async fn a_topic_that_is_left_to_the_bus_comes_from_there() {
    let process = Process::new();
    process.local().leave_to_bus(Topic::new("texts").unwrap());
    let mut taken = outside::taken();
    let take = process.ready(sink::<outside::Take>(), "-n take -st texts").await;
    let payload = msight_proto::encode(&text("from outside")).unwrap();
    process.resources.bus.publish(&Topic::new("texts").unwrap(), payload).await.unwrap();
    assert_eq!(taken.recv().await.unwrap().body, text("from outside").body);
    let give = process.start(source::<outside::Give>(), "-n give -pt texts -sn s");
    outside::give(text("from here"));
    assert_eq!(taken.recv().await.unwrap().body, text("from here").body, "once");
    give.stop().await.unwrap();
    take.stop().await.unwrap();
    assert!(taken.try_recv().is_err());
}
