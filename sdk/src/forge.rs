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

use std::marker::PhantomData;

use crate::bindings::base::exports::windlass::plugin::manifest::Guest as ManifestGuest;
use crate::bindings::forge::exports::windlass::git_forge::forge as wit;
use crate::{Failure, Manifest};

pub use wit::{Change, ChangeKind, Commit, Delivery, Event, Push, Repository};

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

impl Delivery {
    /// The first header of this name, which has to be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Change {
    /// A change of the branch or tag `name` without commits; add what is known.
    pub fn new(kind: ChangeKind, name: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            before: None,
            after: None,
            head: None,
            skip_ci: false,
            paths: Vec::new(),
            extras: Vec::new(),
        }
    }

    /// The commit before.
    #[must_use]
    pub fn before(mut self, sha: &str) -> Self {
        self.before = Some(sha.to_owned());
        self
    }

    /// The commit after.
    #[must_use]
    pub fn after(mut self, sha: &str) -> Self {
        self.after = Some(sha.to_owned());
        self
    }
}

/// Whether a commit message asks not to be built: `[skip ci]`, `[ci skip]`, `[no ci]`, `[skip actions]` or
/// `[actions skip]` anywhere, or a trailer `skip-checks: true`. Letter case does not matter.
pub fn asks_to_skip_ci(message: &str) -> bool {
    const WORDS: [&str; 5] = ["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"];
    let message = message.to_ascii_lowercase();
    WORDS.iter().any(|word| message.contains(word)) || has_skip_checks_trailer(&message)
}

/// Trailers are the last paragraph of a message that has more than one.
fn has_skip_checks_trailer(message: &str) -> bool {
    let lines: Vec<&str> = message.trim_end().lines().map(str::trim).collect();
    let Some(blank) = lines.iter().rposition(|line| line.is_empty()) else { return false };
    lines[blank..].iter().any(|line| {
        line.split_once(':')
            .is_some_and(|(name, value)| name.trim() == "skip-checks" && value.trim() == "true")
    })
}

/// Makes a [`Forge`] a component.
#[doc(hidden)]
pub struct Component<T>(PhantomData<T>);

impl<T: Forge> ManifestGuest for Component<T> {
    fn describe() -> Manifest {
        T::describe().of_kind("git-forge")
    }
}

impl<T: Forge> wit::Guest for Component<T> {
    fn parse_webhook(delivery: Delivery) -> Result<Event, Failure> {
        T::parse_webhook(delivery)
    }
}

/// Exports a type that implements [`forge::Forge`](crate::forge::Forge) as the component's only plugin.
#[macro_export]
macro_rules! export_forge {
    ($plugin:ty) => {
        $crate::__export!(forge, $plugin, $crate::forge::Forge);
    };
}

/// On wasm it exports both halves of a world; elsewhere it only checks that the trait is there.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($kind:ident, $plugin:ty, $wanted:path) => {
        const _: () = {
            const fn implements<T: $wanted>() {}
            implements::<$plugin>();

            #[cfg(target_family = "wasm")]
            type Component = $crate::$kind::Component<$plugin>;
            #[cfg(target_family = "wasm")]
    $crate::__private::base::export_manifest!(Component with_types_in $crate::__private::base);
            #[cfg(target_family = "wasm")]
    $crate::__private::$kind::export_interface!(Component with_types_in $crate::__private::$kind);
        };
    };
}
