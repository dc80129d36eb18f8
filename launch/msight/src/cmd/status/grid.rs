//! A table of text with lines between all cells, as Python's `tabulate` draws its "grid".

use msight_compose::terminal::cell;

/// Draws the table, with a line break at its end. Control characters of the cells are escaped, and long cells
/// are cut.
pub(super) fn table<const COLUMNS: usize>(headings: [&str; COLUMNS], rows: Vec<[String; COLUMNS]>) -> String {
    let rows: Vec<[String; COLUMNS]> = rows.into_iter().map(|row| row.map(|text| cell(&text))).collect();
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        // tabulate leaves two spaces after a heading (its MIN_PADDING).
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.fold(headings[column].chars().count() + 2, usize::max)
    });
    let rule = |line: &str| {
        let cells = widths.map(|width| line.repeat(width + 2));
        format!("+{}+\n", cells.join("+"))
    };
    let line = |cells: [&str; COLUMNS]| {
        let padded: [String; COLUMNS] = std::array::from_fn(|column| {
            let padding = widths[column] - cells[column].chars().count();
            format!(" {}{} ", cells[column], " ".repeat(padding))
        });
        format!("|{}|\n", padded.join("|"))
    };
    let mut text = rule("-") + &line(headings) + &rule("=");
    for row in &rows {
        text += &line(row.each_ref().map(String::as_str));
        text += &rule("-");
    }
    if rows.is_empty() {
        text += &rule("-");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_as_wide_as_the_widest() {
        let rows = vec![["ä".to_owned(), "wide enough".to_owned()], ["x\n".to_owned(), String::new()]];
        let expected = "\
+-----+-------------+
| A   | B           |
+=====+=============+
| ä   | wide enough |
+-----+-------------+
| x\\n |             |
+-----+-------------+
";
        assert_eq!(table(["A", "B"], rows), expected);
    }

    #[test]
    fn without_rows_there_are_headings() {
        assert_eq!(table(["Name"], vec![]), "+--------+\n| Name   |\n+========+\n+--------+\n");
    }
}
