//! The JSON Schema of an experiment file, for editors and other programs.

use schemars::generate::SchemaSettings;

use crate::ExperimentSpec;

/// JSON Schema, draft 2020-12. It knows types and most ranges; what needs the data or the machine, [`crate::check`] knows.
#[must_use]
pub fn schema() -> serde_json::Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<ExperimentSpec>().to_value()
}

#[cfg(test)]
pub(crate) mod tests;
