//! Bundles by content address, stores, registry and the promotion gate.
