//! Git forges: what a vendor posts → what happened to which ref.
//!
//! ```
//! use windlass_sdk::forge::{Change, ChangeKind, Delivery, Event, Forge, Push, Repository};
//! use windlass_sdk::{Failure, Manifest, WebhookContract, WebhookScheme};
//!
//! struct Tiny;
//!
//! impl Forge for Tiny {
//!     fn describe() -> Manifest {
//!         let signed = WebhookScheme::hmac_sha256_hex("x-tiny-signature", "sha256=");
//!         Manifest::new("tiny", "0.1.0", "Reads the two words that Tiny posts: branch and commit")
//!             .webhooks(WebhookContract::new(vec![signed], &["x-tiny-delivery"], &[]))
//!     }
//!
//!     fn parse_webhook(delivery: Delivery) -> Result<Event, Failure> {
//!         let text = String::from_utf8_lossy(&delivery.body);
//!         let Some((branch, commit)) = text.split_once(' ') else {
//!             return Err(Failure::permanent("malformed-payload", "The body has to be a branch and a commit."));
//!         };
//!         let change = Change::new(ChangeKind::BranchPushed, branch).after(commit);
//!         Ok(Event::Push(Push {
//!             repository: Repository {
//!                 full_name: "tiny/tiny".to_owned(),
//!                 urls: vec!["https://tiny.example/tiny.git".to_owned()],
//!                 default_branch: None,
//!             },
//!             sender: String::new(),
//!             changes: vec![change],
//!         }))
//!     }
//! }
//!
//! windlass_sdk::export_forge!(Tiny);
//! ```

mod change;
mod optional;
mod words;

use std::marker::PhantomData;

use crate::bindings::base::exports::windlass::plugin::manifest::Guest as ManifestGuest;
use crate::bindings::forge::exports::windlass::git_forge::forge as wit;
use crate::{Failure, Manifest};

pub use crate::{Delivery, malformed};
pub use change::RefUpdate;
pub use optional::{
    CommitStatus, Deployment, DeploymentState, Deployments, Hook, Page, PullRequest, PullRequestState,
    PullRequests, Repositories, RepositoryDetails, State, Status, WebhookAdmin,
};
pub use wit::{Change, ChangeKind, Commit, Event, Push, Repository};
pub use words::{asks_to_skip_ci, is_no_commit, unix_ms};

/// A git forge. Export it with [`crate::export_forge!`].
pub trait Forge {
    /// What the plugin says about itself. Must not depend on anything.
    fn describe() -> Manifest;

    /// Reads one delivery, which the host has verified. Pure.
    ///
    /// # Errors
    /// `permanent` with the code `malformed-payload` if the body is not what its headers promise.
    fn parse_webhook(delivery: Delivery) -> Result<Event, Failure>;
}

#[doc(hidden)]
pub const KIND: &str = "git-forge";

/// Makes a [`Forge`] a component.
#[doc(hidden)]
pub struct Component<T>(PhantomData<T>);

impl<T: Forge> ManifestGuest for Component<T> {
    fn describe() -> Manifest {
        T::describe().of_kind(KIND)
    }
}

impl<T: Forge> wit::Guest for Component<T> {
    fn parse_webhook(delivery: Delivery) -> Result<Event, Failure> {
        T::parse_webhook(delivery)
    }
}
