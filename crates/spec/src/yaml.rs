//! YAML to JSON with the place of every key and value; the subset of YAML that holds no surprise.
//!
//! One document, text keys, no anchors, aliases, tags or repeated keys. Plain scalars follow the core schema of YAML 1.2
//! in decimal, so `yes` and `0x1F` are text. Does not know what the values mean.

mod scalar;

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, Span};
use serde_json::{Map, Value};

use crate::problem::{Finding, Place, Problem};

/// A file beyond this is no experiment; it bounds what a parse can cost.
const BYTES_MAX: usize = 1024 * 1024;

/// Deepest nesting: the format needs 7, and recursion over the value stays far from the end of a stack.
const DEPTH_MAX: usize = 32;

/// Longest key or value, bytes: what suggests the nearest word compares them letter by letter.
const TEXT_MAX: usize = 4_096;

/// Values and keys of a file: checks compare them with one another.
const VALUES_MAX: u32 = 20_000;

/// Where every key and value of a file stands, by dotted path (`data.symbols.0`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Positions {
    file: String,
    sites: BTreeMap<String, Site>,
}

/// Line and column of a value and of its key; an element of a list has no key and repeats the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Site {
    key: (usize, usize),
    value: (usize, usize),
}

impl Positions {
    /// True when the file itself says something at `path`.
    #[must_use]
    pub fn written(&self, path: &str) -> bool {
        self.sites.contains_key(path)
    }

    /// Where the key of `path` stands; of a path that is not in the file, its nearest ancestor's.
    #[must_use]
    pub fn key(&self, path: &str) -> Place {
        self.place(path, |site| site.key)
    }

    /// Where the value of `path` stands; of a path that is not in the file, its nearest ancestor's key.
    #[must_use]
    pub fn value(&self, path: &str) -> Place {
        match self.sites.get(path) {
            Some(site) => self.at(site.value),
            None => self.key(path),
        }
    }

    /// The same places under a longer path: the text is what stands below `name` in a file.
    pub(crate) fn below(self, name: &str) -> Self {
        let under =
            |(path, site): (String, Site)| (if path.is_empty() { name.to_owned() } else { join(name, path) }, site);
        Self { file: self.file, sites: self.sites.into_iter().map(under).collect() }
    }

    fn place(&self, path: &str, of: impl Fn(&Site) -> (usize, usize)) -> Place {
        let mut path = path;
        loop {
            if let Some(site) = self.sites.get(path) {
                return self.at(of(site));
            }
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => return self.at((1, 1)),
            }
        }
    }

    fn at(&self, (line, column): (usize, usize)) -> Place {
        Place { file: self.file.clone(), line, column }
    }

    fn of(&self, marker: Marker) -> Place {
        self.at(coordinates(marker))
    }
}

fn coordinates(marker: Marker) -> (usize, usize) {
    (marker.line(), marker.col() + 1)
}

/// The path of `name` below `parent`.
pub(crate) fn join(parent: &str, name: impl std::fmt::Display) -> String {
    if parent.is_empty() { name.to_string() } else { format!("{parent}.{name}") }
}

/// Reads one document.
pub(crate) fn read(file: &str, text: &str) -> Result<(Value, Positions), Box<Problem>> {
    let mut reader = Reader {
        positions: Positions { file: file.to_owned(), sites: BTreeMap::new() },
        open: Vec::new(),
        values: 0,
        root: None,
    };
    if text.len() > BYTES_MAX {
        let place = reader.positions.at((1, 1));
        return Err(refusal(place, format!("a file of {} bytes", text.len()), "the limit is 1 MiB", "cut it"));
    }
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let place = reader.positions.of(*error.marker());
            refusal(place, "not YAML", error.info(), "check indentation, colons and closing brackets here")
        })?;
        reader.on(event, span)?;
    }
    let Reader { positions, root, .. } = reader;
    match root {
        Some(value) => Ok((value, positions)),
        None => Err(refusal(
            positions.at((1, 1)),
            "an empty file",
            "an experiment needs content",
            "start with `version: 1`",
        )),
    }
}

fn refusal(place: Place, what: impl Into<String>, why: impl Into<String>, hint: impl Into<String>) -> Box<Problem> {
    Box::new(Finding::new("", what, why, hint).at(Some(place)))
}

/// A collection that is not closed yet.
struct Open {
    path: String,
    site: Site,
    content: Content,
}

enum Content {
    List(Vec<Value>),
    Map { entries: Map<String, Value>, key: Option<(String, (usize, usize))> },
}

struct Reader {
    positions: Positions,
    open: Vec<Open>,
    /// Values and keys so far.
    values: u32,
    root: Option<Value>,
}

impl Reader {
    fn on(&mut self, event: Event<'_>, span: Span) -> Result<(), Box<Problem>> {
        let place = self.positions.of(span.start);
        if let Event::Scalar(ref text, ..) = event
            && text.len() > TEXT_MAX
        {
            let what = format!("a text of {} bytes", text.len());
            return Err(refusal(place, what, format!("the limit is {TEXT_MAX}"), "cut it"));
        }
        if let Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) = event {
            self.values += 1;
        }
        if self.values > VALUES_MAX {
            return Err(refusal(
                place,
                format!("more than {VALUES_MAX} values"),
                "no experiment has so many",
                "cut it",
            ));
        }
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => Err(refusal(
                place,
                "a second document",
                "a file holds one experiment",
                "write it into a file of its own",
            )),
            Event::DocumentStart(_) => Ok(()),
            Event::Alias(_) => {
                Err(refusal(place, "an alias", "anchors and aliases are not read", "write the value out in full"))
            }
            Event::Scalar(_, _, anchor, ref tag)
            | Event::SequenceStart(anchor, ref tag)
            | Event::MappingStart(anchor, ref tag)
                if anchor != 0 || tag.is_some() =>
            {
                let what = if tag.is_some() { "a tag" } else { "an anchor" };
                Err(refusal(place, what, "only plain values are read", "write the bare value"))
            }
            Event::Scalar(text, style, ..) => match self.awaits_key() {
                true => self.key(text.into_owned(), place),
                false => {
                    let site = self.begin(&place)?;
                    let value = scalar::value(&text, style)
                        .map_err(|why| refusal(place, format!("`{text}`"), why, "write a finite number below 2^64"))?;
                    self.place(&site.0, site.1);
                    self.end(value);
                    Ok(())
                }
            },
            Event::SequenceStart(..) => self.enter(place, Content::List(Vec::new())),
            Event::MappingStart(..) => self.enter(place, Content::Map { entries: Map::new(), key: None }),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                self.place(&open.path, open.site);
                self.end(match open.content {
                    Content::List(items) => Value::Array(items),
                    Content::Map { entries, .. } => Value::Object(entries),
                });
                Ok(())
            }
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Map { key: None, .. }, .. }))
    }

    /// Notes the key of the entry that follows.
    fn key(&mut self, name: String, place: Place) -> Result<(), Box<Problem>> {
        let path = self.open.last().map(|open| join(&open.path, &name)).unwrap_or_default();
        if let Some(Open { content: Content::Map { entries, key }, .. }) = self.open.last_mut() {
            if entries.contains_key(&name) {
                let first = self.positions.key(&path).line;
                let why = format!("line {first} has it already");
                return Err(refusal(place, format!("`{name}` is repeated"), why, "keep one of them"));
            }
            *key = Some((name, (place.line, place.column)));
        }
        Ok(())
    }

    fn enter(&mut self, place: Place, content: Content) -> Result<(), Box<Problem>> {
        if self.open.len() >= DEPTH_MAX {
            let what = format!("more than {DEPTH_MAX} levels");
            return Err(refusal(
                place,
                what,
                "no experiment nests so deep",
                "check the brackets and indentation before here",
            ));
        }
        let (path, site) = self.begin(&place)?;
        self.open.push(Open { path, site, content });
        Ok(())
    }

    /// Path and site of the value that begins here.
    fn begin(&self, place: &Place) -> Result<(String, Site), Box<Problem>> {
        let value = (place.line, place.column);
        match self.open.last() {
            None => Ok((String::new(), Site { key: value, value })),
            Some(Open { path, content: Content::List(items), .. }) => {
                Ok((join(path, items.len()), Site { key: value, value }))
            }
            Some(Open { path, content: Content::Map { key: Some((name, key)), .. }, .. }) => {
                Ok((join(path, name), Site { key: *key, value }))
            }
            Some(Open { content: Content::Map { key: None, .. }, .. }) => {
                Err(refusal(place.clone(), "a key that is no text", "keys are names", "write `name: value`"))
            }
        }
    }

    fn place(&mut self, path: &str, site: Site) {
        if !path.is_empty() {
            self.positions.sites.insert(path.to_owned(), site);
        }
    }

    /// Puts a finished value into what is open around it.
    fn end(&mut self, value: Value) {
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(value),
            Some(Content::List(items)) => items.push(value),
            Some(Content::Map { entries, key }) => {
                if let Some((name, _)) = key.take() {
                    entries.insert(name, value);
                }
            }
        }
    }
}
