//! What differs between two texts, line by line.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
// `change::Change` has that name in the API's document.
#[schema(as = LineChange)]
pub enum Change {
    Same,
    Removed,
    Added,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiffLine {
    pub change: Change,
    pub text: String,
}

/// Cells of the table by which lines are compared; a middle that would need more is told as removed and added as a whole.
const CELLS: usize = 4_000_000;

/// All lines of both texts, the common ones once. Removed lines come before those added in their stead.
pub fn difference(old: &str, new: &str) -> Vec<DiffLine> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let alike = |pair: &(&&str, &&str)| pair.0 == pair.1;
    let head = old.iter().zip(&new).take_while(alike).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(alike).count();
    let mut lines = Vec::new();
    let mut push = |change, texts: &[&str]| {
        lines.extend(texts.iter().map(|text| DiffLine { change, text: (*text).to_owned() }));
    };
    push(Change::Same, &old[..head]);
    middle(&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail], &mut push);
    push(Change::Same, &old_rest[old_rest.len() - tail..]);
    lines
}

/// The changed lines with some `around` them; nothing stands for those that are left out in between.
pub fn nearby(lines: &[DiffLine], around: usize) -> Vec<Option<&DiffLine>> {
    let is_near = |at: usize| {
        let near = at.saturating_sub(around)..(at + around + 1).min(lines.len());
        lines[near].iter().any(|line| line.change != Change::Same)
    };
    let mut shown = Vec::new();
    let mut is_gap = false;
    for (at, line) in lines.iter().enumerate() {
        if !is_near(at) {
            is_gap = true;
            continue;
        }
        if std::mem::take(&mut is_gap) {
            shown.push(None);
        }
        shown.push(Some(line));
    }
    shown
}

/// By the longest common subsequence.
fn middle(old: &[&str], new: &[&str], push: &mut impl FnMut(Change, &[&str])) {
    if old.len().saturating_mul(new.len()) > CELLS {
        push(Change::Removed, old);
        push(Change::Added, new);
        return;
    }
    // common[i][j]: how many lines old[i..] and new[j..] have in common.
    let width = new.len() + 1;
    let mut common = vec![0u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            push(Change::Same, &old[i..=i]);
            (i, j) = (i + 1, j + 1);
        } else if i < old.len()
            && (j == new.len() || common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            push(Change::Removed, &old[i..=i]);
            i += 1;
        } else {
            push(Change::Added, &new[j..=j]);
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(old: &str, new: &str) -> String {
        let sign = |change| match change {
            Change::Same => ' ',
            Change::Removed => '-',
            Change::Added => '+',
        };
        difference(old, new).iter().map(|line| format!("{}{}\n", sign(line.change), line.text)).collect()
    }

    #[test]
    fn only_what_differs_is_told_as_changed() {
        assert_eq!(told("a\nb\nc\nd", "a\nx\nc\ny\nd"), " a\n-b\n+x\n c\n+y\n d\n");
        assert_eq!(told("", "a"), "+a\n");
        assert_eq!(told("a\na", "a"), " a\n-a\n");
        assert_eq!(told("a", "a"), " a\n");
    }

    #[test]
    fn both_texts_can_be_read_off() {
        let (old, new) = ("one\ntwo\nthree\nfour", "two\none\nfour\nfive\nthree");
        let side = |other: Change| -> Vec<String> {
            difference(old, new)
                .into_iter()
                .filter(|line| line.change != other)
                .map(|line| line.text)
                .collect()
        };
        assert_eq!(side(Change::Added).join("\n"), old);
        assert_eq!(side(Change::Removed).join("\n"), new);
    }

    #[test]
    fn what_is_far_from_a_change_is_left_out() {
        let lines = difference("1\n2\n3\n4\n5", "1\n2\n3\n4\nx");
        let shown: Vec<&str> =
            nearby(&lines, 1).into_iter().map(|line| line.map_or("…", |line| line.text.as_str())).collect();
        assert_eq!(shown, ["…", "4", "5", "x"]);
        assert!(nearby(&difference("same", "same"), 1).is_empty());
    }
}
