use super::*;

#[derive(Debug, Clone, Args)]
struct Own {
    /// A device index
    #[arg(short = 'g', long, value_parser = argparse::int)]
    gpu: Option<i64>,
}

/// Does something
#[derive(Debug, Clone, Args)]
struct Nothing {}

fn read<A: Args>(kind: Kind, line: &str) -> Result<(CommonFlags, A), Error> {
    let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    parse("prog", Topics::of(kind), &args, &|_| None)
}

#[test]
fn the_node_takes_the_letter() {
    let (common, own) = read::<Own>(Kind::Source, "-n n -pt t -sn s -g 1 --gap 2").unwrap();
    assert_eq!((own.gpu, common.gap()), (Some(1), 2));
    let (common, Nothing {}) = read(Kind::Source, "-n n -pt t -sn s -g 1").unwrap();
    assert_eq!(common.gap(), 1);
}

#[test]
fn topics_by_kind() {
    let topics = |kind, line| {
        let (common, Nothing {}) = read(kind, line).map_err(|error| error.to_string())?;
        Ok::<_, String>(
            [common.publish_topic, common.subscribe_topic, common.sensor_name].map(Option::unwrap_or_default),
        )
    };
    assert_eq!(topics(Kind::Source, "-n n -p a -s b").unwrap(), ["a", "", "b"]);
    assert_eq!(topics(Kind::Processor, "-n n -p a -st b").unwrap(), ["a", "b", ""]);
    assert_eq!(topics(Kind::Sink, "-n n -s a").unwrap(), ["", "a", ""]);
    let missing = |names| Err(format!("the following arguments are required: {names}"));
    assert_eq!(topics(Kind::Source, ""), missing("-n/--name, -pt/--publish-topic, -sn/--sensor-name"));
    assert_eq!(topics(Kind::Processor, "-n n"), missing("-pt/--publish-topic, -st/--subscribe-topic"));
    assert_eq!(topics(Kind::Sink, "-n n"), missing("-st/--subscribe-topic"));
}

#[test]
fn a_topic_that_no_bus_would_take_is_a_usage_error() {
    let error = read::<Nothing>(Kind::Sink, "-n n -st=").unwrap_err();
    assert_eq!(error.to_string(), "argument -st/--subscribe-topic: invalid topic name \"\": it is empty");
    let error = read::<Nothing>(Kind::Source, "-n= -pt t -sn s").unwrap_err();
    assert_eq!(error.to_string(), "argument -n/--name: the name is empty");
    // As MSight has it: a topic may look like a number.
    assert!(read::<Nothing>(Kind::Sink, "-n n -st -5").is_ok());
}

#[test]
fn defaults() {
    let (common, Nothing {}) = read(Kind::Sink, "-n n -st t").unwrap();
    assert_eq!(common.queue(), QueueConfig::default());
    assert_eq!(common.grace(), Duration::from_secs(8));
    assert_eq!(common.heartbeat_tolerance(Kind::Source), Some(Duration::from_secs(60)));
    assert_eq!(common.heartbeat_tolerance(Kind::Sink), None);
    assert!(!common.stop_on_error() && common.metrics.is_none() && common.redis_url.is_none());
}

#[test]
fn additions() {
    let line = "-n n -st t --queue-size 4 --queue-bytes=1MiB --overflow drop-newest --metrics 0 --grace 1.5 \
                --log-format json --redis-url redis://:word@host";
    let (common, Nothing {}) = read(Kind::Sink, line).unwrap();
    assert_eq!(
        common.queue(),
        QueueConfig { max_items: 4, max_bytes: 1 << 20, overflow: Overflow::DropNewest }
    );
    assert_eq!(common.metrics.unwrap().to_string(), "127.0.0.1:0");
    assert_eq!(common.log_format, logs::Format::Json);
    assert_eq!(common.redis_url.as_deref(), Some("redis://:word@host"));
    assert!(!format!("{common:?}").contains("word"));
}

#[test]
fn odd_values_of_heartbeats_are_harmless() {
    for value in ["nan", "inf", "-inf", "1e300", "0", "-1"] {
        let line = format!("-n n -st t --heartbeat-t={value} --heartbeat-c={value}");
        let (common, Nothing {}) = read(Kind::Sink, &line).unwrap();
        assert_eq!(common.heartbeat_tolerance(Kind::Source), None, "{value}");
    }
}

#[test]
fn help_begins_with_what_is_required_and_ends_with_what_is_ignored() {
    let Err(Error::Asked(help)) = read::<Nothing>(Kind::Source, "--help") else { panic!("it asks for help") };
    assert!(
        help.starts_with("Does something\n\nusage: prog -n <NAME> -pt <NAME> -sn <NAME> [OPTIONS]\n"),
        "{help}"
    );
    let places =
        ["Required:", "-pt, --publish-topic <NAME>", "Queue:", "Operation:", "--heartbeat-update-interval"];
    let places = places.map(|text| help.find(text).unwrap_or_else(|| panic!("no {text} in {help}")));
    assert!(places.is_sorted(), "{help}");
    let Err(Error::Asked(brief)) = read::<Nothing>(Kind::Source, "-h") else { panic!("it asks for help") };
    assert!(brief.len() < help.len() && brief.contains("-pt, --publish-topic"), "{brief}");
}

#[test]
fn a_mistyped_option_has_a_suggestion() {
    let Err(Error::Usage { meant, .. }) = read::<Nothing>(Kind::Sink, "-n n -st t --qeue-size 3") else {
        panic!("it is refused")
    };
    assert_eq!(meant.as_deref(), Some("--queue-size"));
}

#[derive(Debug, Clone, Args)]
struct InTheWay {
    /// Hides `--heartbeat-tolerance`
    #[arg(long, help_heading = "Ours")]
    heartbeat_t: Option<String>,
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "--heartbeat-t")]
fn an_addition_cannot_take_over_an_abbreviation() {
    command::<InTheWay>("prog", Topics::of(Kind::Sink));
}
