//! Bars in Parquet: import, content digest, quality report, time splits.
