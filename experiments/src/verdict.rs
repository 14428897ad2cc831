//! What an experiment found: the best trial on the test split, the gates, and the honest sentence.

mod sentence;
mod standing;
