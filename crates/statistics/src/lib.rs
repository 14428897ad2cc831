//! Return, risk and overfitting statistics; pure functions of numbers.
