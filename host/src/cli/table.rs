//! Aligned tables and lists of details.

use super::output::{Output, Tone};
use super::text;

/// One cell: clean text and perhaps a tone.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tone: Option<Tone>,
}

impl Cell {
    pub fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        Self { text: text::clean(text.as_ref()), tone: Some(tone) }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    /// Cut to `room` characters, coloured, and filled up with blanks to `width`.
    pub fn render(&self, out: &Output, room: usize, width: usize) -> String {
        let text = cut(&self.text, room);
        let missing = width.saturating_sub(text.chars().count());
        let painted = match self.tone {
            Some(tone) => out.paint(tone, &text),
            None => text,
        };
        painted + &" ".repeat(missing)
    }
}

impl<T: ToString> From<T> for Cell {
    fn from(value: T) -> Self {
        Self { text: text::clean(&value.to_string()), tone: None }
    }
}

/// A row of a table from anything that can be shown.
macro_rules! cells {
    ($($cell:expr),* $(,)?) => { vec![$($crate::cli::table::Cell::from($cell)),*] };
}
pub(super) use cells;

pub struct Table {
    rows: Vec<Vec<Cell>>,
}

/// Blanks between two columns.
const GAP: usize = 2;

impl Table {
    pub fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|text| Cell::toned(text, Tone::Faint)).collect()] }
    }

    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    pub fn print(&self, out: &Output) {
        for line in self.lines(out, out.width()) {
            out.line(&line);
        }
    }

    /// On a terminal the last column is cut at the edge; elsewhere nothing is.
    fn lines(&self, out: &Output, edge: Option<usize>) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                self.rows.iter().filter_map(|row| row.get(column)).map(Cell::width).max().unwrap_or(0)
            })
            .collect();
        let render = |row: &Vec<Cell>| {
            let last = row.len().saturating_sub(1);
            let mut line = String::new();
            let mut used = 0;
            for (column, cell) in row.iter().enumerate() {
                let room = edge.map_or(usize::MAX, |edge| edge.saturating_sub(used).max(8));
                let width = if column == last { 0 } else { widths[column] + GAP };
                line.push_str(&cell.render(out, if column == last { room } else { usize::MAX }, width));
                used += widths[column] + GAP;
            }
            line.trim_end().to_string()
        };
        self.rows.iter().map(render).collect()
    }
}

/// A list of names and values; empty values are left out.
pub fn details(out: &Output, rows: Vec<(&str, Cell)>) {
    let rows: Vec<(&str, Cell)> = rows.into_iter().filter(|(_, cell)| !cell.text.is_empty()).collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) + GAP;
    for (name, cell) in rows {
        let name = Cell::toned(name, Tone::Faint).render(out, usize::MAX, width);
        out.line(&format!("{name}{}", cell.render(out, usize::MAX, 0)));
    }
}

fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_string();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Format;

    #[test]
    fn columns_line_up_and_the_last_one_is_cut_at_the_edge() {
        let out = Output::new(Format::Text, true);
        let mut table = Table::new(&["NAME", "WHAT"]);
        table.row(cells!["a", "x".repeat(40)]);
        table.row(cells!["longer", ""]);
        let lines = table.lines(&out, Some(20));
        assert_eq!(lines[0], "NAME    WHAT");
        assert_eq!(lines[1].chars().count(), 20);
        assert!(lines[1].ends_with('…'), "{lines:?}");
        assert_eq!(lines[2], "longer");
        assert_eq!(table.lines(&out, None)[1].len(), 8 + 40);
    }
}
