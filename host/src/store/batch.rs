//! Statements for several rows at once, in a few fixed sizes so that each stays prepared.

use std::fmt::Write as _;

use super::Conn;

/// Rows a statement, largest first.
const SIZES: [usize; 8] = [128, 64, 32, 16, 8, 4, 2, 1];

/// How many of `waiting` rows fit one statement.
pub(super) fn fitting(waiting: usize) -> usize {
    SIZES.into_iter().find(|size| *size <= waiting).unwrap_or_default()
}

/// The same statement for each size, made once from constants.
pub(super) struct Batch {
    numbered: [String; SIZES.len()],
    /// SQLite's driver looks the name of each parameter up in a list, so numbered ones would cost the square of their
    /// count. Bare question marks have no names, but PostgreSQL does not know them.
    bare: [String; SIZES.len()],
}

impl Batch {
    /// `head VALUES (row), (row), … tail`; `columns` parameters a row, followed by the literals in `rest`.
    pub fn new(head: &str, columns: usize, rest: &str, tail: &str) -> Self {
        let texts = |bare| SIZES.map(|rows| text(head, rows, columns, rest, tail, bare));
        Self { numbered: texts(false), bare: texts(true) }
    }

    /// Splits `items` into the fewest statements: the text and the rows it takes.
    pub fn split<'i, T>(&'static self, conn: &Conn, items: &'i [T]) -> Vec<(&'static str, &'i [T])> {
        let bare = conn.backend_name() == <sqlx::sqlite::Sqlite as sqlx::Database>::NAME;
        split(if bare { &self.bare } else { &self.numbered }, items)
    }
}

fn split<'i, T>(texts: &'static [String], mut items: &'i [T]) -> Vec<(&'static str, &'i [T])> {
    let mut parts = Vec::new();
    for (size, text) in SIZES.iter().zip(texts) {
        while items.len() >= *size {
            let (part, rest) = items.split_at(*size);
            parts.push((text.as_str(), part));
            items = rest;
        }
    }
    parts
}

fn text(head: &str, rows: usize, columns: usize, rest: &str, tail: &str, bare: bool) -> String {
    let mut text = format!("{head} VALUES ");
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            let comma = if column == 0 { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = match bare {
                true => write!(text, "{comma}?"),
                false => write!(text, "{comma}${}", row * columns + column + 1),
            };
        }
        text.push_str(rest);
        text.push(')');
    }
    text.push(' ');
    text.push_str(tail);
    text
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    #[test]
    fn parameters_are_numbered_through() {
        assert_eq!(
            text("INSERT INTO t", 2, 2, ", 0", "X", false),
            "INSERT INTO t VALUES ($1, $2, 0), ($3, $4, 0) X"
        );
        assert_eq!(text("INSERT INTO t", 2, 2, "", "X", true), "INSERT INTO t VALUES (?, ?), (?, ?) X");
    }

    #[test]
    fn as_many_rows_as_one_statement_takes() {
        assert_eq!([0, 1, 3, 127, 128, 1000].map(fitting), [0, 1, 2, 64, 128, 128]);
    }

    #[test]
    fn every_item_is_in_exactly_one_statement() {
        static BATCH: LazyLock<Batch> = LazyLock::new(|| Batch::new("INSERT INTO t", 1, "", ""));
        let items: Vec<usize> = (0..102).collect();
        let parts = split(&BATCH.numbered, &items);
        assert_eq!(parts.iter().map(|(_, part)| part.len()).collect::<Vec<_>>(), [64, 32, 4, 2]);
        assert_eq!(parts.iter().flat_map(|(_, part)| part.iter().copied()).collect::<Vec<_>>(), items);
    }
}
