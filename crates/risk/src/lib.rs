//! Pre-trade limits and the kill switch: the only door from a decision to an order.
