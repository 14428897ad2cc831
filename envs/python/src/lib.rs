//! The environments as the Python module `tradewind_envs._native`: copies that step into arrays which NumPy sees.
//!
//! Knows no Gymnasium: its classes and registrations are the Python part of the package. Holds no rule of an
//! environment: those are in `envs`. What Python passes in is checked here, and what is wrong with it is a `ValueError`.

mod copies;
mod trading;

use pyo3::exceptions::PyValueError;
use pyo3::{PyErr, pymodule};

#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::copies::{Copies, classic, probe};
    #[pymodule_export]
    use crate::trading::{Bars, trading};
}

/// An error of ours with its causes, as Python's `ValueError`.
fn refused(error: impl std::error::Error) -> PyErr {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    PyValueError::new_err(text)
}
