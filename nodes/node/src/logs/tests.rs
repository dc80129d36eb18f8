use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use super::*;

/// What was written, for one thread's lines.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn logged(rust_log: Option<&str>, level: Level, work: impl FnOnce()) -> String {
    let written = Written::default();
    let lines = tracing_subscriber::fmt::layer().with_writer(written.clone()).event_format(Lines {
        device: "edge".to_owned(),
        node: "main".to_owned(),
        shape: Shape::Text { colours: false },
    });
    let (filter, _) = filter(rust_log, level);
    let subscriber = tracing_subscriber::registry().with(filter).with(NodeNames).with(lines);
    tracing::subscriber::with_default(subscriber, work);
    let bytes = written.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn lines_carry_the_name_of_the_node_they_are_about() {
    let text = logged(None, Level::Error, || {
        tracing::error!("one");
        node_span("cam\n1").in_scope(|| {
            tracing::error!(count = 2, "two");
            tracing::info_span!("within").in_scope(|| tracing::error!(url = %"x", "three"));
        });
    });
    let lines: Vec<_> = text.lines().map(|line| line.split_once(" - ").unwrap().1).collect();
    assert_eq!(
        lines,
        [
            "edge - main - ERROR :: one",
            "edge - cam\\n1 - ERROR :: two count=2",
            "edge - cam\\n1 - ERROR :: three url=x",
        ]
    );
}

#[test]
fn libraries_are_quiet_unless_debugging() {
    let work = || {
        tracing::info!(target: "my_custom_node", "ours");
        tracing::info!(target: "tower_camera", "ours_too");
        tracing::info!(target: "aws_smithy_runtime::client", "theirs");
        tracing::warn!(target: "retina::client", "loud");
        tracing::debug!(target: "retina", "low");
    };
    let words = |rust_log, level| {
        let text = logged(rust_log, level, work);
        text.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(words(None, Level::Info), ["ours", "ours_too", "loud"]);
    assert_eq!(words(None, Level::Debug), ["ours", "ours_too", "theirs", "loud", "low"]);
    assert_eq!(words(None, Level::Warning), ["loud"]);
    assert_eq!(words(None, Level::Critical), [""; 0]);
    assert_eq!(words(Some("retina=debug"), Level::Error), ["loud", "low"]);
    assert_eq!(words(Some("  "), Level::Info), ["ours", "ours_too", "loud"]);
    assert_eq!(words(Some("retina=shout"), Level::Warning), ["loud"]);
    assert!(filter(Some("retina=shout"), Level::Warning).1.is_some());
}

#[test]
fn levels_have_pythons_names() {
    assert_eq!(Level::parse("debug"), Ok(Level::Debug));
    assert_eq!(Level::parse("WARN"), Ok(Level::Warning));
    assert_eq!(Level::parse("CRITICAL"), Ok(Level::Critical));
    assert!(Level::parse("bogus").is_err_and(|message| message.contains("'bogus'")));
    assert!(Level::parse("").is_err());
}
