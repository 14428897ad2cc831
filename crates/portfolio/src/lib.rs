//! Cash, positions and profit, moved exactly by fills and fees.
