//! Runs a strategy over history through the fill core.
