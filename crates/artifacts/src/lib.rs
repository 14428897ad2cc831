//! Bundles by content address, stores, registry and the promotion gate: bytes in, bytes out.
//!
//! A [`Bundle`] is what training hands to the world; its [`spec::BundleId`] is the SHA-256 of its canonical manifest,
//! which names the digest of every file. [`Store`] checks all of them on every load. [`Registry`] gives bundles versions
//! and moves aliases; `champion` moves only with a [`Validated`] bundle, which [`gate::judge`] alone builds. Knows no
//! tensors and not who serves.

mod bundle;
mod ensemble;
pub mod gate;
mod registry;
mod store;

pub use bundle::{Bundle, BundleError, BundleKind, FileEntry, Kernel, Manifest, Parts};
pub use ensemble::{EnsembleError, Member, Membership};
pub use gate::{Evidence, GateResult, Validated, Verdict};
pub use registry::{Alias, AliasMove, ModelEntry, Moved, Registry, RegistryError, Version, VersionEntry};
pub use store::{Store, StoreError};
