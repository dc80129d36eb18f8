//! Formats an event as one line, in text or JSON.

use std::fmt::{self, Write};

use jiff::Zoned;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Longer values are truncated: a hostile name must not fill the disk.
const MAX_VALUE_CHARS: usize = 2048;

#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Text { colours: bool },
    Json,
}

/// Writes events as lines.
#[derive(Clone)]
pub(super) struct Lines {
    pub(super) device: String,
    pub(super) node: String,
    pub(super) shape: Shape,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let inner = context.event_scope().into_iter().flatten();
        let named =
            inner.filter_map(|span| span.extensions().get::<NodeName>().map(|name| name.0.clone())).next();
        let node = named.as_deref().unwrap_or(&self.node);
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = python_name(*event.metadata().level());
        let line = Line { time: &Zoned::now(), device: &self.device, node, level, fields };
        match self.shape {
            Shape::Text { colours } => line.text(&mut out, colours),
            Shape::Json => line.json(&mut out, event.metadata().target()),
        }
    }
}

impl Lines {
    /// The line that reports how many lines were left out.
    pub(super) fn left_out(&self, count: u64) -> String {
        let fields = Fields {
            message: "log lines left out, because standard error took none".to_owned(),
            values: vec![("lines", count.into())],
            target: None,
        };
        let line =
            Line { time: &Zoned::now(), device: &self.device, node: &self.node, level: "WARNING", fields };
        let mut text = String::new();
        // A `String` takes everything.
        let _ = match self.shape {
            Shape::Text { colours } => line.text(&mut text, colours),
            Shape::Json => line.json(&mut text, module_path!()),
        };
        text
    }
}

/// Remembers the `node` field of spans.
pub(super) struct NodeNames;

struct NodeName(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for NodeNames {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let name = fields.values.into_iter().find(|(name, _)| *name == "node");
        if let (Some((_, Value::String(name))), Some(span)) = (name, context.span(id)) {
            span.extensions_mut().insert(NodeName(name));
        }
    }
}

/// The level as Python's logging names it.
fn python_name(level: tracing::Level) -> &'static str {
    match level {
        tracing::Level::ERROR => "ERROR",
        tracing::Level::WARN => "WARNING",
        tracing::Level::INFO => "INFO",
        tracing::Level::DEBUG => "DEBUG",
        tracing::Level::TRACE => "TRACE",
    }
}

/// The message and the fields of an event.
#[derive(Default)]
pub(super) struct Fields {
    message: String,
    values: Vec<(&'static str, Value)>,
    /// The target of an event that came through the `log` crate; the event's own is always `log`.
    target: Option<String>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("log.target", Value::String(target)) => self.target = Some(target),
            // Module, file and line, which other events do not show either.
            (name, _) if name.starts_with("log.") => {}
            (name, value) => self.values.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Truncated { text: String::new(), room: MAX_VALUE_CHARS };
        // Fails at the limit, where the text is truncated.
        let _ = write!(text, "{value:?}");
        self.put(field, Value::String(text.text));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut text = Truncated { text: String::new(), room: MAX_VALUE_CHARS };
        let _ = text.write_str(value);
        self.put(field, Value::String(text.text));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN.
        let number = serde_json::Number::from_f64(rounded(value));
        self.put(field, number.map_or_else(|| Value::String(value.to_string()), Value::Number));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

/// To three decimals, a small number to three digits: more are noise in a log.
fn rounded(value: f64) -> f64 {
    let text = if value.abs() < 0.1 { format!("{value:.2e}") } else { format!("{value:.3}") };
    text.parse().unwrap_or(value)
}

/// Text of a limited length.
struct Truncated {
    text: String,
    room: usize,
}

impl Write for Truncated {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = text.char_indices().nth(self.room).map(|(at, _)| at);
        self.text.push_str(&text[..end.unwrap_or(text.len())]);
        if end.is_some() {
            self.text.push('…');
            self.room = 0;
            return Err(fmt::Error);
        }
        self.room -= text.chars().count();
        Ok(())
    }
}

/// A line before it is written.
pub(super) struct Line<'a> {
    pub(super) time: &'a Zoned,
    pub(super) device: &'a str,
    pub(super) node: &'a str,
    pub(super) level: &'a str,
    pub(super) fields: Fields,
}

impl Line<'_> {
    fn text(&self, out: &mut dyn Write, colours: bool) -> fmt::Result {
        let [colour, faint, plain] = match (colours, self.level) {
            (false, _) => [""; 3],
            (true, "ERROR") => ["\x1b[31m", "\x1b[2m", "\x1b[0m"],
            (true, "WARNING") => ["\x1b[33m", "\x1b[2m", "\x1b[0m"],
            (true, _) => ["", "\x1b[2m", "\x1b[0m"],
        };
        let time = self.time.strftime("%Y-%m-%d %H:%M:%S,%3f");
        write!(
            out,
            "{faint}{time} - {} - {} - {plain}{colour}{}{plain} :: ",
            Escaped(self.device),
            Escaped(self.node),
            self.level
        )?;
        write!(out, "{}", Escaped(&self.fields.message))?;
        for (name, value) in &self.fields.values {
            write!(out, " {faint}{name}={plain}")?;
            match value {
                Value::String(text) if is_plain(text) => write!(out, "{}", Escaped(text))?,
                Value::String(text) => write!(out, "\"{}\"", Escaped(&text.replace('"', "\\\"")))?,
                value => write!(out, "{value}")?,
            }
        }
        writeln!(out)
    }

    fn json(&self, out: &mut dyn Write, target: &str) -> fmt::Result {
        let time = self.time.timestamp().strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
        let text = |text: &str| JsonText(Value::from(text));
        let [device, node, message] = [self.device, self.node, &self.fields.message].map(text);
        let target = text(self.fields.target.as_deref().unwrap_or(target));
        write!(
            out,
            "{{\"time\":\"{time}\",\"level\":\"{}\",\"device\":{device},\"node\":{node}",
            self.level
        )?;
        write!(out, ",\"target\":{target},\"message\":{message}")?;
        // In an object of their own, so that no field can pass for the device or the level.
        for (at, (name, value)) in self.fields.values.iter().enumerate() {
            let before = if at == 0 { ",\"fields\":{" } else { "," };
            write!(out, "{before}{}:{}", text(name), JsonText(value))?;
        }
        writeln!(out, "{}", if self.fields.values.is_empty() { "}" } else { "}}" })
    }
}

/// Whether a value is unambiguous after `=` without quotes.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '='))
}

/// Text whose control characters and direction marks are escaped: they would end a line, move the cursor or reverse
/// the reading direction.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                c if c.is_control() => write!(f, "{}", c.escape_default())?,
                c if moves_text(c) => write!(f, "{}", c.escape_unicode())?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// JSON in which the same characters are escaped: a terminal shows it, too.
struct JsonText<T>(T);

impl<T: fmt::Display> fmt::Display for JsonText<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            // Outside of strings JSON has only ASCII.
            match c {
                c if c.is_control() || moves_text(c) => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Line and paragraph separators, and marks of the reading direction (Unicode annex 9).
fn moves_text(c: char) -> bool {
    matches!(c, '\u{2028}'..='\u{202e}' | '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(fields: Fields) -> Line<'static> {
        let time = Box::leak(Box::new("2026-11-20T10:43:33.7374+01:00[+01:00]".parse::<Zoned>().unwrap()));
        Line { time, device: "edge", node: "n\n1", level: "WARNING", fields }
    }

    fn fields(message: &str, values: &[(&'static str, Value)]) -> Fields {
        Fields { message: message.to_owned(), values: values.to_vec(), target: None }
    }

    #[test]
    fn text_is_msights_line() {
        let mut out = String::new();
        let values =
            [("count", 3.into()), ("sensor", "a b".into()), ("url", "rtsp://h".into()), ("z", "".into())];
        line(fields("dropped\x1b[2J\u{202e}", &values)).text(&mut out, false).unwrap();
        assert_eq!(
            out,
            "2026-11-20 10:43:33,737 - edge - n\\n1 - WARNING :: dropped\\u{1b}[2J\\u{202e} count=3 \
             sensor=\"a b\" url=rtsp://h z=\"\"\n"
        );
    }

    #[test]
    fn colours_change_nothing_else() {
        let (mut plain, mut coloured) = (String::new(), String::new());
        line(fields("m", &[("k", 1.into())])).text(&mut plain, false).unwrap();
        line(fields("m", &[("k", 1.into())])).text(&mut coloured, true).unwrap();
        assert_ne!(plain, coloured);
        let stripped =
            ["\x1b[33m", "\x1b[2m", "\x1b[0m"].iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(stripped, plain);
    }

    #[test]
    fn json_is_one_object_a_line() {
        let mut out = String::new();
        line(fields("a \"b\"\n", &[("level", "forged".into()), ("n", 1.into())]))
            .json(&mut out, "msight_node")
            .unwrap();
        assert_eq!(out.matches('\n').count(), 1);
        assert!(out.starts_with("{\"time\":"), "{out}");
        let parsed: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            parsed,
            json!({
                "time": "2026-11-20T09:43:33.737Z", "level": "WARNING", "device": "edge", "node": "n\n1",
                "target": "msight_node", "message": "a \"b\"\n", "fields": {"level": "forged", "n": 1},
            })
        );
    }

    #[test]
    fn json_escapes_what_a_terminal_would_act_on() {
        let mut out = String::new();
        line(fields("a\u{202e}b", &[("sensor", "\u{61c}\u{9b}2J\u{2066}".into())]))
            .json(&mut out, "t")
            .unwrap();
        assert!(out.contains(r"a\u202eb") && out.contains(r"\u061c\u009b2J\u2066"), "{out}");
        let parsed: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(parsed["message"], "a\u{202e}b");
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let values = [-0.040_418_863_3, 1_795_845_885.357_267_4, 10.0, 0.000_123_456, 0.0];
        assert_eq!(values.map(rounded), [-0.0404, 1_795_845_885.357, 10.0, 0.000_123, 0.0]);
    }

    #[test]
    fn json_without_fields_and_through_the_log_crate() {
        let mut out = String::new();
        let said = Fields {
            message: "m".to_owned(),
            target: Some("retina::client".to_owned()),
            ..Fields::default()
        };
        line(said).json(&mut out, "log").unwrap();
        let parsed: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&parsed["target"], &parsed["fields"]), (&json!("retina::client"), &Value::Null));
    }

    #[test]
    fn long_values_are_cut() {
        let mut cut = Truncated { text: String::new(), room: 3 };
        assert!(cut.write_str("éa").is_ok());
        assert!(cut.write_str("bc").is_err());
        assert_eq!(cut.text, "éab…");
    }
}
