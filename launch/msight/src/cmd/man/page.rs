//! A manual page, in the macros of man(7).

use roff::{Inline, Roff, bold, italic, roman};

use crate::reference::{Reference, Section};

/// The name of its file, such as `msight-up.1`.
pub(super) fn file_name(reference: &Reference) -> String {
    format!("{}.1", name(reference))
}

fn name(reference: &Reference) -> String {
    reference.name.replace(' ', "-")
}

/// The page.
pub(super) fn text(reference: &Reference) -> String {
    let mut page = Roff::new();
    let name = name(reference);
    let version = concat!("msight-rs ", env!("CARGO_PKG_VERSION"));
    // Without a date: the same sources give the same page.
    page.control("TH", [name.as_str(), "1", "\"\"", version, "User Commands"]);

    page.control("SH", ["NAME"]);
    page.text([roman(format!("{name} - {}", reference.about.replace('\n', " ")))]);
    page.control("SH", ["SYNOPSIS"]);
    // Names that are cut at a hyphen, or stretched apart, cannot be copied.
    page.control("nh", []).control("ad", ["l"]);
    let options = reference.usage.strip_prefix(&reference.name).unwrap_or(&reference.usage);
    page.text([vec![bold(&reference.name), roman(" ")], syntax(options)].concat());
    page.control("ad", ["b"]).control("hy", []);
    page.control("SH", ["DESCRIPTION"]);
    paragraphs(&mut page, "PP", &format!("{}.\n{}", reference.about, reference.details));

    for Section { title, flags } in &reference.sections {
        page.control("SH", [title.to_uppercase().as_str()]);
        for flag in flags {
            page.control("TP", []);
            page.text(syntax(&flag.usage()));
            paragraphs(&mut page, "IP", &flag.help);
            let note = flag.note();
            if !note.is_empty() {
                page.control("br", []);
                page.text(marked(&note));
            }
        }
    }
    if !reference.subcommands.is_empty() {
        page.control("SH", ["COMMANDS"]);
        for subcommand in &reference.subcommands {
            page.control("TP", []);
            page.text([bold(self::name(subcommand)), roman("(1)")]);
            page.text(marked(&subcommand.about));
        }
    } else {
        page.control("SH", ["SEE ALSO"]);
        page.text([bold("msight"), roman("(1), "), bold("msight-nodes"), roman("(1)")]);
    }
    page.render()
}

/// The lines of a text, each of which is a paragraph. `macro_between` stands between them.
fn paragraphs(page: &mut Roff, macro_between: &str, text: &str) {
    let lines = text.split('\n').map(str::trim).filter(|line| !line.is_empty());
    for (at, line) in lines.enumerate() {
        if at > 0 {
            page.control(macro_between, []);
        }
        page.text(marked(line));
    }
}

/// A text whose code, between backticks, is bold.
fn marked(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate().filter(|(_, part)| !part.is_empty());
    parts.map(|(at, part)| if at % 2 == 1 { bold(part) } else { roman(part) }).collect()
}

/// The names of flags bold, and the placeholders of values italic.
fn syntax(usage: &str) -> Vec<Inline> {
    let mut parts = Vec::new();
    for (at, word) in usage.split_whitespace().enumerate() {
        if at > 0 {
            parts.push(roman(" "));
        }
        let (word, comma) = word.strip_suffix(',').map_or((word, ""), |word| (word, ","));
        parts.push(if word.starts_with('-') { bold(word) } else { italic(word) });
        if !comma.is_empty() {
            parts.push(roman(comma));
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bold_and_values_italic() {
        let expected =
            [bold("-pt"), roman(","), roman(" "), bold("--publish-topic"), roman(" "), italic("<NAME>")];
        assert_eq!(syntax("-pt, --publish-topic <NAME>"), expected);
        assert_eq!(syntax(" [OPTIONS] [FILE]..."), [italic("[OPTIONS]"), roman(" "), italic("[FILE]...")]);
    }

    #[test]
    fn code_is_bold() {
        assert_eq!(
            marked("One of `tcp`, `udp`."),
            [roman("One of "), bold("tcp"), roman(", "), bold("udp"), roman(".")]
        );
    }

    #[test]
    fn no_text_becomes_a_request() {
        let mut page = Roff::new();
        paragraphs(&mut page, "PP", ".so /etc/passwd\n\n'quoted' \\fB");
        let lines: Vec<_> = page.to_roff().lines().map(str::to_owned).collect();
        assert_eq!(lines, ["\\&.so /etc/passwd", ".PP", "\\&'quoted' \\\\fB"]);
    }
}
