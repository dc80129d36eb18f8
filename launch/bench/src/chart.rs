//! Draws CPU per frame: a bar for the programs, and one for each compared program.

use std::fmt::Write as _;

use super::report::Report;

/// Widths and heights in SVG's pixels.
const WIDTH: f64 = 760.0;
const NAMES: f64 = 210.0;
const NUMBERS: f64 = 70.0;
const BAR: f64 = 26.0;
const STEP: f64 = 40.0;
const TOP: f64 = 44.0;

/// Colours that are visible on white and black and for colour-blind readers (Okabe and Ito).
const PARTS: [&str; 4] = ["#0072b2", "#56b4e9", "#e69f00", "#cc79a7"];
const PEER: &str = "#8c959f";

/// A bar: its name and its parts, each a length and a colour.
struct Bar {
    name: String,
    parts: Vec<(f64, &'static str)>,
}

/// Draws the chart; `None` if there is nothing to draw.
pub(super) fn draw(report: &Report) -> Option<String> {
    let window = report.window.as_ref()?;
    let parts =
        window.costs.iter().zip(PARTS).map(|(cost, colour)| (cost.cpu_ms_per_frame, colour)).collect();
    let legend: Vec<_> = window.costs.iter().map(|cost| cost.program.as_str()).zip(PARTS).collect();
    let mut bars = vec![Bar { name: "msight-rs and redis-server".to_owned(), parts }];
    // The time of a program that did not keep up cannot be compared.
    for peer in report.run.iter().flat_map(|run| &run.peers).filter(|peer| peer.kept_up) {
        bars.push(Bar { name: peer.name.clone(), parts: vec![(peer.cpu_ms_per_frame, PEER)] });
    }
    Some(svg(&bars, &legend))
}

fn svg(bars: &[Bar], legend: &[(&str, &str)]) -> String {
    let length = |bar: &Bar| bar.parts.iter().map(|(part, _)| part).sum::<f64>();
    let longest = bars.iter().map(length).fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - NAMES - NUMBERS) / longest;
    let height = TOP + STEP * bars.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">\n\
         <title>CPU milliseconds per frame</title>\n\
         <style>text{{font:14px -apple-system,\"Segoe UI\",Helvetica,Arial,sans-serif;fill:#1f2328}}\
         @media(prefers-color-scheme:dark){{text{{fill:#f0f6fc}}}}</style>\n"
    );
    let mut left = 0.0;
    // Writing to a String cannot fail.
    for (name, colour) in legend {
        let _ = writeln!(out, "<rect x=\"{left:.1}\" y=\"6\" width=\"12\" height=\"12\" fill=\"{colour}\"/>");
        let _ = writeln!(out, "<text x=\"{:.1}\" y=\"17\">{}</text>", left + 18.0, escaped(name));
        left += 40.0 + 8.0 * name.chars().count() as f64;
    }
    let _ =
        writeln!(out, "<text x=\"{WIDTH}\" y=\"17\" text-anchor=\"end\">CPU milliseconds per frame</text>");
    for (place, bar) in bars.iter().enumerate() {
        let top = TOP + STEP * place as f64;
        let middle = top + BAR / 2.0 + 5.0;
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>",
            NAMES - 10.0,
            escaped(&bar.name)
        );
        let mut left = NAMES;
        for (part, colour) in &bar.parts {
            let width = part * scale;
            let _ = writeln!(
                out,
                "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>"
            );
            left += width;
        }
        let _ = writeln!(out, "<text x=\"{:.1}\" y=\"{middle:.1}\">{:.1}</text>", left + 8.0, length(bar));
    }
    out + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_numbers() {
        let bars = [
            Bar { name: "a & <b>".to_owned(), parts: vec![(10.0, "#111"), (30.0, "#222")] },
            Bar { name: "peer".to_owned(), parts: vec![(20.0, "#333")] },
        ];
        let svg = svg(&bars, &[("a", "#111"), ("b", "#222")]);
        let width = |colour: &str| {
            let mut bars = svg.lines().filter(|line| line.contains(colour) && line.contains("height=\"26\""));
            let (_, rest) = bars.next_back()?.split_once("width=\"")?;
            rest.split('"').next()?.parse::<f64>().ok()
        };
        assert_eq!([width("#111"), width("#222"), width("#333")], [Some(120.0), Some(360.0), Some(240.0)]);
        assert!(svg.contains("a &amp; &lt;b&gt;") && svg.contains(">40.0<"), "{svg}");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}
