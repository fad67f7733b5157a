//! Vendors' servers as the plugins see them: stateful fakes on loopback, held to the vendors' own API documents by a
//! proxy between them and the plugins, and to the vendors' own ways by clients that nobody here wrote.

pub mod bench;
pub mod circleci;
pub mod fake;
pub mod fault;
pub mod github;
pub mod gitlab;
pub mod jenkins;
pub mod rig;
pub mod tools;
