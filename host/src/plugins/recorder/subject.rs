//! What the calls of a task are made for. It goes with the task, so that no adapter has to pass it on.

use crate::domain::recording::Subject;

tokio::task_local! {
    static OCCASION: Occasion;
}

#[derive(Clone)]
pub(in crate::plugins) enum Occasion {
    For(Subject),
    /// Nobody in particular.
    Unknown,
    Unrecorded,
}

/// Runs `work`; the calls into plugins that it makes are recorded as made for `subject`.
pub async fn with_subject<T>(subject: Subject, work: impl Future<Output = T>) -> T {
    OCCASION.scope(Occasion::For(subject), work).await
}

/// Runs `work` without recording its calls: for what strangers can cause as often as they like.
pub async fn unrecorded<T>(work: impl Future<Output = T>) -> T {
    OCCASION.scope(Occasion::Unrecorded, work).await
}

pub(in crate::plugins) fn occasion() -> Occasion {
    OCCASION.try_with(Clone::clone).unwrap_or(Occasion::Unknown)
}
