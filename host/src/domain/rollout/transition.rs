//! What a rollout has come to, in one word: for people and programs that want to hear of it without following every step.

use super::{Weight, share_of};
use crate::domain::Id;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// The new release gets another share of the requests.
    ShareMoved,
    /// A part of the old instances is no longer needed.
    BatchReplaced,
    /// The new release's answers were compared with the old one's.
    Judged,
    /// Nothing happens, on purpose.
    Paused,
    Resumed,
    /// The new release gets all requests.
    Promoted,
    /// It is watched, after its promotion.
    Baking,
    /// Requests that it had go back to the old release.
    SwitchedBack,
    /// Somebody wants it to be given up.
    Aborted,
}

impl Transition {
    pub const ALL: [Self; 9] = [
        Self::ShareMoved,
        Self::BatchReplaced,
        Self::Judged,
        Self::Paused,
        Self::Resumed,
        Self::Promoted,
        Self::Baking,
        Self::SwitchedBack,
        Self::Aborted,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ShareMoved => "share_moved",
            Self::BatchReplaced => "batch_replaced",
            Self::Judged => "judged",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Promoted => "promoted",
            Self::Baking => "baking",
            Self::SwitchedBack => "switched_back",
            Self::Aborted => "aborted",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|transition| transition.as_str() == text)
    }

    /// A strategy may say so of itself; the others are what the host sees happen.
    fn is_a_strategys_own(self) -> bool {
        matches!(self, Self::Judged | Self::Paused | Self::Resumed | Self::Baking)
    }
}

/// What a strategy tells with an order in the contract's words: `tell judged its answers are as good as before`.
pub fn told(order: &str) -> Option<(Transition, &str)> {
    let (word, words) = order.strip_prefix("tell ")?.split_once(' ')?;
    let transition = Transition::parse(word).filter(|transition| transition.is_a_strategys_own())?;
    Some((transition, words.trim())).filter(|(_, words)| !words.is_empty())
}

/// What it means that the requests go another way now; `None` if the new release gets as many as before.
pub fn moved(before: &[Weight], after: &[Weight], target: &Id) -> Option<Transition> {
    match (share_of(before, target), share_of(after, target)) {
        (was, is) if was == is => None,
        (was, is) if is < was => Some(Transition::SwitchedBack),
        (_, 100) => Some(Transition::Promoted),
        _ => Some(Transition::ShareMoved),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(new: u32) -> Vec<Weight> {
        let weight = |release: &str, percent| Weight { release: Id::from_text(release.to_owned()), percent };
        vec![weight("new", new), weight("old", 100 - new)]
    }

    #[test]
    fn a_share_rises_until_the_release_is_promoted_and_falls_when_it_is_switched_back() {
        let target = Id::from_text("new".to_owned());
        let moved = |from, to| moved(&shares(from), &shares(to), &target);
        assert_eq!(moved(0, 10), Some(Transition::ShareMoved));
        assert_eq!(moved(10, 100), Some(Transition::Promoted));
        assert_eq!(moved(100, 0), Some(Transition::SwitchedBack));
        assert_eq!(moved(50, 10), Some(Transition::SwitchedBack));
        assert_eq!(moved(10, 10), None);
        assert_eq!(super::moved(&[], &shares(100), &target), Some(Transition::Promoted), "the first release");
    }

    #[test]
    fn a_strategy_tells_what_only_it_knows_and_nothing_else() {
        assert_eq!(told("tell judged it is as good"), Some((Transition::Judged, "it is as good")));
        for other in
            ["tell promoted it serves", "tell judged  ", "tell judged", "tell joy it works", "preview x"]
        {
            assert_eq!(told(other), None, "{other}");
        }
    }
}
