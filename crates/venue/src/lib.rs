//! The fill core: order nouns, the one cost model and the simulated exchange.
