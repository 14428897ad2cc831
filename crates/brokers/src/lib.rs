//! The Broker trait and its paper adapter.
