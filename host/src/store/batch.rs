//! Statements for several rows at once, in a few fixed sizes so that each stays prepared.

use std::fmt::Write as _;

/// Rows a statement, largest first. Larger ones save little: the SQLite driver's cost of binding grows with the square of
/// the parameters of a statement.
const SIZES: [usize; 3] = [16, 4, 1];

/// The same statement for each size, made once from constants.
pub(super) struct Batch {
    texts: [String; SIZES.len()],
}

impl Batch {
    /// `head VALUES (row), (row), … tail`; `columns` parameters a row, followed by the literals in `rest`.
    pub fn new(head: &str, columns: usize, rest: &str, tail: &str) -> Self {
        Self { texts: SIZES.map(|rows| text(head, rows, columns, rest, tail)) }
    }

    /// Splits `items` into the fewest statements: the text and the rows it takes.
    pub fn split<'i, T>(&'static self, mut items: &'i [T]) -> Vec<(&'static str, &'i [T])> {
        let mut parts = Vec::new();
        for (size, text) in SIZES.iter().zip(&self.texts) {
            while items.len() >= *size {
                let (part, rest) = items.split_at(*size);
                parts.push((text.as_str(), part));
                items = rest;
            }
        }
        parts
    }
}

fn text(head: &str, rows: usize, columns: usize, rest: &str, tail: &str) -> String {
    let mut text = format!("{head} VALUES ");
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            let comma = if column == 0 { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{comma}${}", row * columns + column + 1);
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
            text("INSERT INTO t", 2, 2, ", 0", "X"),
            "INSERT INTO t VALUES ($1, $2, 0), ($3, $4, 0) X"
        );
    }

    #[test]
    fn every_item_is_in_exactly_one_statement() {
        static BATCH: LazyLock<Batch> = LazyLock::new(|| Batch::new("INSERT INTO t", 1, "", ""));
        let items: Vec<usize> = (0..38).collect();
        let parts = BATCH.split(&items);
        assert_eq!(parts.iter().map(|(_, part)| part.len()).collect::<Vec<_>>(), [16, 16, 4, 1, 1]);
        assert_eq!(parts.iter().flat_map(|(_, part)| part.iter().copied()).collect::<Vec<_>>(), items);
    }
}
