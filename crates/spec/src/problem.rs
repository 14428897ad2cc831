//! What is wrong with an experiment file, and where: one line a reader can act on.

use std::fmt;

use crate::yaml::Positions;

/// A place in a file; the first line and the first column are 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as the user named it.
    pub file: String,
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// Something that has to change before the experiment can run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// Where; `None` when the value comes from no file, such as a drawn parameter.
    pub place: Option<Place>,
    /// What is wrong.
    pub what: String,
    /// Why that is wrong.
    pub why: String,
    /// What would be right.
    pub hint: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}, {}, {}", self.what, self.why, self.hint)
    }
}

/// A problem by the dotted path it concerns; [`crate::Positions`] turns the path into a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) aim: Aim,
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) hint: String,
}

impl Finding {
    pub(crate) fn new(
        path: impl Into<String>,
        what: impl Into<String>,
        why: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { path: path.into(), aim: Aim::Value, what: what.into(), why: why.into(), hint: hint.into() }
    }

    /// Points at the key instead of the value.
    pub(crate) fn at_key(self) -> Self {
        Self { aim: Aim::Key, ..self }
    }

    pub(crate) fn placed(self, positions: &Positions) -> Problem {
        let place = match self.aim {
            Aim::Key => positions.key(&self.path),
            Aim::Value => positions.value(&self.path),
        };
        self.at(Some(place))
    }

    pub(crate) fn at(self, place: Option<Place>) -> Problem {
        Problem { place, what: self.what, why: self.why, hint: self.hint }
    }
}

/// Which half of an entry a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    Key,
    Value,
}

/// `did you mean X?` when one of `known` is close to `text`, else the list of them.
pub(crate) fn suggest<'a>(text: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(text, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let known: Vec<_> = known.into_iter().map(|name| format!("`{name}`")).collect();
            if known.is_empty() { "remove it".to_owned() } else { format!("use one of {}", known.join(", ")) }
        }
    }
}

/// The most similar of `known`, when it is similar at all.
pub(crate) fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this Jaro-Winkler similarity a suggestion misleads more than it helps; chosen on the typos of the tests.
    const SIMILAR: f64 = 0.78;
    let likeness = |name: &str| strsim::jaro_winkler(&text.to_lowercase(), &name.to_lowercase());
    known
        .into_iter()
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness >= SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
