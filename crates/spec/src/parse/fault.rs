//! What serde says of a value that does not fit, in the words of the file's author.

use serde_json::Value;
use serde_path_to_error::Segment;

use crate::problem::{Finding, suggest};
use crate::yaml::join;

/// A value that does not fit its type, and where.
pub(crate) struct Fault {
    path: Path,
    kind: Kind,
}

/// Steps from the root of a value.
#[derive(Clone)]
pub(crate) struct Path(Vec<String>);

/// serde's errors, as its `de::Error` trait words them.
enum Kind {
    UnknownKey { name: String, known: Vec<String> },
    UnknownVariant { name: String, known: Vec<String> },
    Missing { name: String },
    Mismatch { found: String, expected: String },
    Own { what: String, hint: String },
}

impl Fault {
    pub(super) fn new(error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let step = |segment: &Segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        };
        let mut path: Vec<_> = error.path().iter().filter_map(step).collect();
        let kind = Kind::read(&error.inner().to_string());
        // A key is refused while it is read, so the path ends in it; the finding is about what should have held it.
        if let Kind::UnknownKey { name, .. } = &kind
            && path.last() == Some(name)
        {
            path.pop();
        }
        Self { path: Path(path), kind }
    }

    /// The same fault seen from one level further out.
    pub(crate) fn below(mut self, name: &str) -> Self {
        self.path.0.insert(0, name.to_owned());
        self
    }

    /// The key to take out, when that is the fault.
    pub(super) fn unknown_key(&self) -> Option<Path> {
        let Kind::UnknownKey { name, .. } = &self.kind else { return None };
        Some(Path([self.path.0.as_slice(), std::slice::from_ref(name)].concat()))
    }

    pub(crate) fn finding(self) -> Finding {
        let path = self.path.text();
        let subject = if path.is_empty() { "the file".to_owned() } else { format!("`{path}`") };
        match self.kind {
            Kind::UnknownKey { name, known } => {
                let hint = suggest(&name, known.iter().map(String::as_str));
                let what = format!("unknown key `{name}`");
                Finding::new(join(&path, &name), what, format!("{subject} has no such key"), hint).at_key()
            }
            Kind::UnknownVariant { name, known } => {
                let hint = suggest(&name, known.iter().map(String::as_str));
                Finding::new(path, format!("unknown choice `{name}`"), format!("{subject} does not offer it"), hint)
            }
            Kind::Missing { name } => {
                let why = format!("{subject} needs it");
                Finding::new(path, format!("`{name}` is missing"), why, format!("add `{name}:`")).at_key()
            }
            Kind::Mismatch { found, expected } => {
                let why = format!("{subject} is of another kind");
                Finding::new(path, format!("found {found}"), why, format!("write {expected}"))
            }
            Kind::Own { what, hint } => Finding::new(path, what, format!("{subject} cannot hold it"), hint),
        }
    }
}

impl Path {
    fn text(&self) -> String {
        self.0.join(".")
    }

    /// Takes the entry out of `root`; false when there is none.
    pub(super) fn remove(&self, root: &mut Value) -> bool {
        let Some((last, parents)) = self.0.split_last() else { return false };
        let mut at = root;
        for step in parents {
            match child(at, step) {
                Some(next) => at = next,
                None => return false,
            }
        }
        at.as_object_mut().is_some_and(|entries| entries.remove(last).is_some())
    }
}

/// The entry or element `step` of a value.
pub(crate) fn child<'a>(value: &'a mut Value, step: &str) -> Option<&'a mut Value> {
    match value {
        Value::Object(entries) => entries.get_mut(step),
        Value::Array(items) => step.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

impl Kind {
    fn read(message: &str) -> Self {
        let (said, expected) = message.split_once(", expected ").unwrap_or((message, ""));
        let quoted = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();
        let listed = || expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        if said.starts_with("unknown field ") {
            Self::UnknownKey { name: quoted(said), known: listed() }
        } else if said.starts_with("unknown variant ") {
            Self::UnknownVariant { name: quoted(said), known: listed() }
        } else if said.starts_with("missing field ") {
            Self::Missing { name: quoted(said) }
        } else if let Some(found) = said.strip_prefix("invalid type: ").or(said.strip_prefix("invalid value: ")) {
            Self::Mismatch { found: plain_found(found), expected: plain_expected(expected) }
        } else if let Some(length) = said.strip_prefix("invalid length ") {
            Self::Mismatch { found: format!("a list of {length}"), expected: plain_expected(expected) }
        } else {
            let (what, hint) = message.split_once(": ").unwrap_or((message, "see `tradewind schema`"));
            Self::Own { what: what.to_owned(), hint: hint.to_owned() }
        }
    }
}

fn plain_found(found: &str) -> String {
    match found {
        "null" | "unit value" | "Option value" => "nothing".to_owned(),
        "map" => "keys and values".to_owned(),
        "sequence" => "a list".to_owned(),
        "unit variant" => "a bare name".to_owned(),
        "struct variant" | "newtype variant" => "a name with keys below it".to_owned(),
        other => other
            .replace("string ", "the text ")
            .replace("floating point ", "the number ")
            .replace("integer ", "the number ")
            .replace("boolean ", "the switch "),
    }
}

fn plain_expected(expected: &str) -> String {
    let plain = match expected {
        "u32" | "u64" | "usize" => "a whole number, 0 or more, without a decimal point",
        "i32" | "i64" => "a whole number without a decimal point",
        "f64" => "a number",
        "a string" => "text, in quotes if it looks like a number",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list, such as `[a, b]`",
        "a tuple of size 2" | "tuple variant with 2 elements" | "tuple variant" => "a list of two, such as `[a, b]`",
        "string or map" => "a name, or `name: { key: value }`",
        "map with a single key" => "one `name: { key: value }`",
        "struct variant" => "`name: { key: value }` with its keys",
        "unit variant" => "the bare name",
        other if other.starts_with("struct ") || other.starts_with("a map") => "keys and values",
        "" => "a value of the kind that `tradewind schema` shows",
        other => return other.to_owned(),
    };
    plain.to_owned()
}
