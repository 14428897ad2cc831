//! The cluster state machine, its journal, its server and its engines.
