//! The indicators, each O(1) a bar up to its window, each with its state as data.
//!
//! Conventions are TA-Lib's: EMAs start from a simple mean, RSI and ATR use Wilder's smoothing, Bollinger bands the
//! population deviation. Window statistics are summed afresh from a ring in a fixed order: the window is short, and a
//! running sum would drift and depend on where the series began.

mod momentum;
mod volatility;
mod volume;
mod window;

pub use momentum::{Ema, LogReturn, Macd, MacdValue, Rsi};
pub use volatility::{Atr, Bollinger, BollingerValue, RealisedVolatility};
pub use volume::VolumeZ;
pub use window::Window;
